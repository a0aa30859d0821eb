//! A cgroup of this run's own, so that the programs see nothing else on the machine.

use harness::{bpffs, wait};
use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

const PREFIX: &str = "gwfast-";

/// Two cgroups under a common one, as the gateway's pod and the other pods of a node are. This process is among the
/// peers until the value is dropped.
pub(crate) struct Cgroup {
    root: PathBuf,
    before: PathBuf,
}

impl Cgroup {
    pub(super) fn new() -> Self {
        bpffs::mount_own();
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let hierarchy = hierarchy();
        remove_stale(&hierarchy);
        let root = hierarchy.join(format!("{PREFIX}{}-{}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed)));
        let own = fs::read_to_string("/proc/self/cgroup").expect("the cgroup of this process");
        let own = own.lines().find_map(|line| line.strip_prefix("0::/")).expect("a cgroup2 hierarchy").to_owned();
        let this = Self { before: hierarchy.join(own), root };
        for path in [this.root.clone(), this.gateway(), this.peers()] {
            fs::create_dir(&path).unwrap_or_else(|error| panic!("create {}: {error}", path.display()));
        }
        join(&this.peers()).expect("join the cgroup");
        this
    }

    /// What the gateway is told to watch.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn gateway(&self) -> PathBuf {
        self.root.join("gateway")
    }

    /// Where this process came from, and what is none of the gateway's business.
    pub(crate) fn outside(&self) -> &Path {
        &self.before
    }

    /// Where a daemon pins what belongs to this cgroup; named after its inode.
    pub(crate) fn pins(&self) -> PathBuf {
        let number = fs::metadata(&self.root).map_or(0, |group| group.ino());
        PathBuf::from(format!("/sys/fs/bpf/node-gateway/cgroup-{number}"))
    }

    pub(crate) fn peers(&self) -> PathBuf {
        self.root.join("peers")
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let left = join(&self.before);
        // A daemon that was killed leaves its pins to the next one, and there will be none for this cgroup.
        let _ = fs::remove_dir_all(self.pins());
        // The kernel keeps a cgroup busy for a moment after its last process was reaped.
        for path in [self.gateway(), self.peers(), self.root.clone()] {
            wait::until("remove the cgroup", Duration::from_secs(10), || fs::remove_dir(&path).ok());
        }
        assert!(left.is_ok() || std::thread::panicking(), "cannot leave the cgroup: {left:?}");
    }
}

fn join(cgroup: &Path) -> io::Result<()> {
    fs::write(cgroup.join("cgroup.procs"), process::id().to_string())
}

fn hierarchy() -> PathBuf {
    let mounts = fs::read_to_string("/proc/self/mounts").expect("read the mounts");
    let mut mounts = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let mount = mounts.find(|fields| fields[2] == "cgroup2").expect("a cgroup2 hierarchy");
    PathBuf::from(mount[1])
}

/// What a killed run has left.
fn remove_stale(hierarchy: &Path) {
    for entry in fs::read_dir(hierarchy).expect("the hierarchy").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(process) = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next()) else { continue };
        if !Path::new("/proc").join(process).exists() {
            for path in [entry.path().join("gateway"), entry.path().join("peers"), entry.path()] {
                let _ = fs::remove_dir(path);
            }
        }
    }
}
