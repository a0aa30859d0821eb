//! Removing a cluster, or whatever there is of one.

use super::{cgroups, instance::Instance, network};
use anyhow::Context;
use std::{
    fs, io,
    sync::mpsc,
    time::{Duration, Instant},
};

/// Whether anything of `instance` exists.
pub(crate) fn remains(instance: &Instance) -> anyhow::Result<bool> {
    let has_cgroup = cgroups::everywhere(instance, "")?.iter().any(|directory| directory.is_dir());
    let has_namespace = !network::namespaces(instance).is_empty() || network::exists(instance);
    Ok(has_cgroup || has_namespace || instance.directory().exists())
}

/// Ends every process and removes every trace. Works on a complete cluster and on the pieces of one alike, and again after
/// it was cut short itself: it looks for what is there, not into a record of what should be.
///
/// Mounts need no step of their own: they are in the mount namespaces of the nodes, and end with them.
pub(crate) fn take_down(instance: &Instance) -> anyhow::Result<()> {
    cgroups::remove(instance)?;
    network::remove(instance);
    remove_directory(instance)
}

fn remove_directory(instance: &Instance) -> anyhow::Result<()> {
    let deadline = Instant::now() + Duration::from_secs(20);
    // The kernel takes mounts apart a moment after their last process. Nobody sends: the timeout is the pause.
    let (_sender, pause) = mpsc::channel::<()>();
    loop {
        match fs::remove_dir_all(instance.directory()) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) if Instant::now() > deadline => {
                return Err(error).with_context(|| format!("remove {}", instance.directory().display()));
            }
            Err(_) => {
                let _ = pause.recv_timeout(Duration::from_millis(20));
            }
        }
    }
}
