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
/// It is looked for below every cgroup2 mount: a container's own shows nothing but itself, and a DaemonSet mounts the
/// host's beside it.
///
/// # Errors
/// [`Unavailable::NoCgroup`] when no cgroup2 hierarchy is mounted.
pub(super) fn default_cgroup() -> Result<PathBuf, Unavailable> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let roots = cgroup2_mounts(&mounts);
    let pods = roots.iter().flat_map(|root| POD_CGROUPS.map(|name| root.join(name))).find(|path| path.is_dir());
    pods.or_else(|| roots.into_iter().next()).ok_or(Unavailable::NoCgroup)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unified_hierarchy_is_found_wherever_it_is_mounted() {
        let alone = "cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0\n";
        let hybrid = "cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
        assert_eq!(cgroup2_mounts(alone), [PathBuf::from("/sys/fs/cgroup")]);
        assert_eq!(cgroup2_mounts(hybrid), [PathBuf::from("/sys/fs/cgroup/unified")]);
        let container = "cgroup /sys/fs/cgroup cgroup2 ro 0 0\ncgroup2 /host/sys/fs/cgroup cgroup2 ro 0 0\n";
        assert_eq!(cgroup2_mounts(container), ["/sys/fs/cgroup", "/host/sys/fs/cgroup"].map(PathBuf::from));
    }

    #[test]
    fn version_one_hierarchies_do_not_count() {
        assert!(cgroup2_mounts("cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\nbroken\n").is_empty());
    }
}
