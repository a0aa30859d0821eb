//! A cgroup of the test's own, as the one of a node's pods.

use crate::{bpffs, daemon, wait};
use parking_lot::{Mutex, MutexGuard};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

/// One at a time: the whole test process is in it.
static ALONE: Mutex<()> = Mutex::new(());

/// A cgroup with this process in it, as a gateway has to be in the cgroup of its node's pods; removed on drop.
#[derive(Debug)]
pub struct TestCgroup {
    path: PathBuf,
    _alone: MutexGuard<'static, ()>,
}

impl TestCgroup {
    /// Makes one and enters it; what is pinned for it is pinned in a BPF file system of this thread's own.
    ///
    /// # Panics
    /// Without root or a cgroup2 hierarchy.
    pub fn enter() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        // Before anybody is inside: a compiler that another thread starts would be inside as well, and stay.
        daemon::binary();
        let alone = ALONE.lock();
        bpffs::mount_own();
        let name = format!("gwtest-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = cgroup2_root().join(name);
        fs::create_dir(&path).expect("create a cgroup");
        let group = Self { path, _alone: alone };
        fs::write(group.path.join("cgroup.procs"), std::process::id().to_string()).expect("enter the cgroup");
        group
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A command whose process is outside of this cgroup before it does anything.
    pub fn outside(program: &str) -> Command {
        let mut command = Command::new("bash");
        command.arg("-c").arg(r#"echo $$ > "$0/cgroup.procs" && exec "$@""#).arg(cgroup2_root()).arg(program);
        command
    }
}

impl Drop for TestCgroup {
    fn drop(&mut self) {
        let _left = fs::write(cgroup2_root().join("cgroup.procs"), std::process::id().to_string());
        // The kernel keeps a cgroup busy for a moment after its last process was reaped.
        wait::until("remove the cgroup", Duration::from_secs(30), || fs::remove_dir(&self.path).ok());
    }
}

fn cgroup2_root() -> PathBuf {
    let mounts = fs::read_to_string("/proc/self/mounts").expect("read the mounts");
    let fields = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let mount = mounts.lines().map(fields).find(|fields| fields[2] == "cgroup2").expect("a cgroup2 hierarchy");
    PathBuf::from(&mount[1])
}
