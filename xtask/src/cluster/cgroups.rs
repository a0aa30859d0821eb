//! The cgroups of a cluster: `ngw-NAME` in every hierarchy, with one for the control plane and one for each node below.
//!
//! They are also how the cluster is ended. Whatever it started is in its cgroup of the unified hierarchy, by inheritance
//! and before its first instruction, so that there is no process id to remember and none to mistake.

use super::instance::{Instance, Node};
use anyhow::{Context, bail};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::mpsc,
    time::{Duration, Instant},
};

/// One mounted hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hierarchy {
    pub(crate) mount_point: PathBuf,
    pub(crate) kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Version 2.
    Unified,
    /// Version 1, with the options that say which one it is: `cpu,cpuacct` or `name=systemd`.
    Legacy(String),
}

/// Every hierarchy of this machine.
pub(crate) fn hierarchies() -> anyhow::Result<Vec<Hierarchy>> {
    Ok(parse(&fs::read_to_string("/proc/self/mounts").context("read the mounts")?))
}

fn parse(mounts: &str) -> Vec<Hierarchy> {
    let hierarchy = |line: &str| {
        let fields: Vec<&str> = line.split(' ').collect();
        let (&mount_point, &kind, &options) = (fields.get(1)?, fields.get(2)?, fields.get(3)?);
        let kind = match kind {
            "cgroup2" => Kind::Unified,
            "cgroup" => {
                // What else is there belongs to the mount, or is the business of the one who made the hierarchy.
                let general = ["rw", "nosuid", "nodev", "noexec", "relatime", "seclabel", "xattr", "clone_children"];
                let own = |option: &&str| !general.contains(option) && !option.starts_with("release_agent=");
                Kind::Legacy(options.split(',').filter(own).collect::<Vec<_>>().join(","))
            }
            _ => return None,
        };
        Some(Hierarchy { mount_point: PathBuf::from(mount_point), kind })
    };
    mounts.lines().filter_map(hierarchy).collect()
}

/// Where the unified hierarchy is mounted: `/sys/fs/cgroup`, or `/sys/fs/cgroup/unified` on a hybrid system.
pub(crate) fn unified() -> anyhow::Result<PathBuf> {
    match hierarchies()?.into_iter().find(|hierarchy| hierarchy.kind == Kind::Unified) {
        Some(hierarchy) => Ok(hierarchy.mount_point),
        None => {
            bail!("no cgroup2 hierarchy is mounted; a cluster needs one: mount -t cgroup2 none /sys/fs/cgroup/unified")
        }
    }
}

/// The cgroup of the control plane.
pub(crate) const CONTROL: &str = "control";
/// Below that of a node: what on a real one systemd runs, beside `kubepods`.
pub(crate) const SYSTEM: &str = "system";

/// The cgroup of `node` in the unified hierarchy: what the root is on a real node.
pub(crate) fn of_node(instance: &Instance, node: Node) -> anyhow::Result<PathBuf> {
    Ok(unified()?.join(instance.prefix()).join(node.name()))
}

/// The directories of the cgroup `below` the cluster's, in every hierarchy.
pub(crate) fn everywhere(instance: &Instance, below: &str) -> anyhow::Result<Vec<PathBuf>> {
    let path = Path::new(&instance.prefix()).join(below);
    Ok(hierarchies()?.into_iter().map(|hierarchy| hierarchy.mount_point.join(&path)).collect())
}

pub(crate) fn create(instance: &Instance, nodes: u8) -> anyhow::Result<()> {
    // Fails where there is none to end the cluster with.
    unified()?;
    let mut names = vec![instance.prefix(), format!("{}/{CONTROL}", instance.prefix())];
    for node in Node::first(nodes) {
        let name = format!("{}/{}", instance.prefix(), node.name());
        names.extend([name.clone(), format!("{name}/{SYSTEM}")]);
    }
    for hierarchy in hierarchies()? {
        for name in &names {
            let directory = hierarchy.mount_point.join(name);
            fs::create_dir_all(&directory).with_context(|| format!("create {}", directory.display()))?;
            inherit_cpus(&directory)?;
        }
        if hierarchy.kind == Kind::Unified {
            // The nodes hand these on to their pods; the kubelet does so from its root on.
            enable_controllers(&hierarchy.mount_point)?;
            enable_controllers(&hierarchy.mount_point.join(instance.prefix()))?;
        }
    }
    Ok(())
}

/// No process enters a version 1 cpuset that does not say where it may run.
fn inherit_cpus(directory: &Path) -> anyhow::Result<()> {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let (own, above) = (directory.join(file), directory.parent().unwrap_or(directory).join(file));
        let is_empty = fs::read_to_string(&own).is_ok_and(|text| text.trim().is_empty());
        if is_empty && let Ok(inherited) = fs::read(above) {
            fs::write(&own, inherited).with_context(|| format!("write {}", own.display()))?;
        }
    }
    Ok(())
}

/// On a hybrid system the controllers are in the other hierarchies, and there is nothing to do.
fn enable_controllers(directory: &Path) -> anyhow::Result<()> {
    let controllers = fs::read_to_string(directory.join("cgroup.controllers")).unwrap_or_default();
    let file = directory.join("cgroup.subtree_control");
    for controller in controllers.split_whitespace() {
        fs::write(&file, format!("+{controller}"))
            .with_context(|| format!("enable {controller} in {}", file.display()))?;
    }
    Ok(())
}

/// Ends every process of the cluster, as SIGKILL does, and removes its cgroups.
///
/// # Errors
/// When something stays for longer than a few seconds.
pub(crate) fn remove(instance: &Instance) -> anyhow::Result<()> {
    let deadline = Instant::now() + Duration::from_secs(20);
    for hierarchy in hierarchies()? {
        let directory = hierarchy.mount_point.join(instance.prefix());
        if hierarchy.kind == Kind::Unified && directory.is_dir() {
            let file = directory.join("cgroup.kill");
            fs::write(&file, "1").with_context(|| format!("write {}", file.display()))?;
        }
    }
    for hierarchy in hierarchies()? {
        let directory = hierarchy.mount_point.join(instance.prefix());
        // Processes take a moment to end. Nobody sends: the timeout is the pause.
        let (_sender, pause) = mpsc::channel::<()>();
        while directory.is_dir() {
            if let Err(error) = remove_tree(&directory)
                && Instant::now() > deadline
            {
                return Err(error).with_context(|| format!("remove {}: what still runs in it?", directory.display()));
            }
            let _ = pause.recv_timeout(Duration::from_millis(10));
        }
    }
    Ok(())
}

/// cgroups hold files that nobody can remove; they go with their directory.
fn remove_tree(directory: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(directory)?.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_tree(&entry.path())?;
        }
    }
    fs::remove_dir(directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hierarchies_are_told_from_the_mounts() {
        let mounts = "tmpfs /sys/fs/cgroup tmpfs ro,mode=755 0 0\n\
                      cgroup2 /sys/fs/cgroup/unified cgroup2 rw,nosuid,nsdelegate 0 0\n\
                      cgroup /sys/fs/cgroup/systemd cgroup rw,nosuid,xattr,name=systemd 0 0\n\
                      cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,relatime,cpu,cpuacct 0 0\n";
        let found = parse(mounts);
        assert_eq!(found.len(), 3);
        assert_eq!(found[0].kind, Kind::Unified);
        assert_eq!(found[1].kind, Kind::Legacy("name=systemd".to_owned()));
        assert_eq!(found[2].kind, Kind::Legacy("cpu,cpuacct".to_owned()));
    }
}
