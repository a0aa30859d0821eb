//! A cgroup of this run's own, so that the programs in the kernel see the run and nothing else on the machine.

use anyhow::{Context, ensure};
use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process,
    time::Duration,
};

const PREFIX: &str = "gwbench-";

/// The gateway's pod and the other pods of a node, under a common root. Removed on drop.
pub(super) struct Cgroup {
    root: PathBuf,
}

impl Cgroup {
    pub(super) fn new() -> anyhow::Result<Self> {
        let hierarchy = hierarchy()?;
        remove_stale(&hierarchy);
        // From here on `drop` removes what has been made.
        let this = Self { root: hierarchy.join(format!("{PREFIX}{}", process::id())) };
        for path in [this.root.clone(), this.gateway(), this.peers()] {
            fs::create_dir(&path).with_context(|| format!("create the cgroup {}", path.display()))?;
        }
        Ok(this)
    }

    /// What the gateway is told to watch.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn gateway(&self) -> PathBuf {
        self.root.join("gateway")
    }

    /// Callers and pods whose connections the kernel may short-circuit.
    pub(super) fn peers(&self) -> PathBuf {
        self.root.join("peers")
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        remove(&self.root);
    }
}

/// Best effort: this is what a signal leads to.
fn remove(root: &Path) {
    // A daemon that was killed leaves its pins to the next one, and there will be none for this cgroup.
    if let Ok(inode) = fs::metadata(root).map(|group| group.ino()) {
        let _ = fs::remove_dir_all(format!("/sys/fs/bpf/node-gateway/cgroup-{inode}"));
    }
    // The kernel keeps a cgroup busy for a moment after its last process was reaped. Nobody sends: the timeout is the pause.
    let (_sender, pause) = std::sync::mpsc::channel::<()>();
    for path in [root.join("gateway"), root.join("peers"), root.to_owned()] {
        for _ in 0..250 {
            if !path.exists() || fs::remove_dir(&path).is_ok() {
                break;
            }
            let _ = pause.recv_timeout(Duration::from_millis(20));
        }
    }
    if root.exists() {
        eprintln!("cannot remove {}: something still runs in it", root.display());
    }
}

fn hierarchy() -> anyhow::Result<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").context("read the mounts")?;
    let mut lines = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let found = lines.find_map(|fields| (fields.get(2) == Some(&"cgroup2")).then(|| PathBuf::from(fields[1])));
    let found = found.context("there is no cgroup2 hierarchy: mount one at /sys/fs/cgroup")?;
    ensure!(found.is_dir(), "{} is no directory", found.display());
    Ok(found)
}

/// What a killed run has left.
fn remove_stale(hierarchy: &Path) {
    for entry in fs::read_dir(hierarchy).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.strip_prefix(PREFIX).is_some_and(|process| !Path::new("/proc").join(process).exists()) {
            remove(&entry.path());
        }
    }
}
