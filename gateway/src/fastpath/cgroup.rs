//! Where the cgroup2 hierarchy is, and which of its groups the programs belong to.

use super::Unavailable;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Parents of every pod on a node: the kubelet's systemd driver names the first, its cgroupfs driver the second.
const POD_CGROUPS: [&str; 2] = ["kubepods.slice", "kubepods"];

/// The group of the node's pods, or the root of the hierarchy.
///
/// In a pod that shares the host's cgroup namespace, the group above the pod's own is the one: several kubelets may share
/// a machine. Otherwise it is looked for below every cgroup2 mount, since a container's own shows nothing but itself and
/// the host's is mounted beside it.
///
/// # Errors
/// [`Unavailable::NoCgroup`] when no cgroup2 hierarchy is mounted.
pub(super) fn default_cgroup() -> Result<PathBuf, Unavailable> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let roots = cgroup2_mounts(&mounts);
    let names: Vec<&str> = pods_above(&own).into_iter().chain(POD_CGROUPS).collect();
    let candidates = names.iter().flat_map(|name| roots.iter().map(move |root| root.join(name)));
    let pods = candidates.into_iter().find(|path| path.is_dir());
    pods.or_else(|| roots.first().cloned()).ok_or(Unavailable::NoCgroup)
}

/// Any directory of a cgroup2 hierarchy has this file (kernel documentation, admin-guide/cgroup-v2).
pub(super) fn is_cgroup2(path: &Path) -> bool {
    path.join("cgroup.controllers").exists()
}

/// The mount points of cgroup2 hierarchies in the format of proc_pid_mounts(5).
fn cgroup2_mounts(mounts: &str) -> Vec<PathBuf> {
    let mount_point = |line: &str| {
        let mut fields = line.split(' ');
        let (_device, mount_point, kind) = (fields.next()?, fields.next()?, fields.next()?);
        (kind == "cgroup2").then(|| PathBuf::from(mount_point))
    };
    mounts.lines().filter_map(mount_point).collect()
}

/// The part of a process's cgroup2 path (cgroups(7), `/proc/[pid]/cgroup`) that ends with the parent of all pods, relative
/// to the hierarchy's root. `None` for a process that is in no pod, or sees only its own cgroup namespace.
fn pods_above(own: &str) -> Option<&str> {
    let path = own.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let mut end = 0;
    for name in path.split('/') {
        end += name.len();
        if POD_CGROUPS.contains(&name) {
            return path.get(..end);
        }
        end += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unified_hierarchy_is_found_wherever_it_is_mounted() {
        let alone = "cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0\n";
        let hybrid = "cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
        assert_eq!(cgroup2_mounts(alone), [PathBuf::from("/sys/fs/cgroup")]);
        assert_eq!(cgroup2_mounts(hybrid), [PathBuf::from("/sys/fs/cgroup/unified")]);
    }

    #[test]
    fn version_one_hierarchies_do_not_count() {
        assert!(cgroup2_mounts("cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\nbroken\n").is_empty());
    }

    #[test]
    fn the_parent_of_all_pods_is_found_from_inside_one() {
        let cgroupfs = "12:cpu:/node2/kubepods/pod1\n0::/node2/kubepods/burstable/pod1/abc\n";
        let systemd = "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1.slice/cri-abc.scope\n";
        assert_eq!(pods_above(cgroupfs), Some("node2/kubepods"));
        assert_eq!(pods_above(systemd), Some("kubepods.slice"));
    }

    #[test]
    fn outside_of_pods_and_in_a_namespace_of_ones_own_nothing_is_known() {
        assert_eq!(pods_above("0::/user.slice/session-1.scope\n"), None);
        assert_eq!(pods_above("0::/\n"), None);
        assert_eq!(pods_above("1:cpu:/kubepods/pod1\n"), None);
    }
}
