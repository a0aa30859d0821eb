//! What is attached goes away with the one who attached it, and the next one goes on with what was left.

use crate::{
    cgroup::TestCgroup,
    inventory::{Inventory, bpftool},
    node,
};
use gateway::fastpath::{self, Fastpath, FastpathMode, Mode};
use harness::{daemon, privilege, wait};
use nix::sys::signal::{Signal, kill};
use std::{
    fs,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

const PATIENCE: Duration = Duration::from_secs(20);

fn programs(fastpath: &Fastpath) -> Vec<u32> {
    fastpath.status().programs.iter().map(|program| program.id).collect()
}

fn maps(fastpath: &Fastpath) -> Vec<(String, u32)> {
    fastpath.status().maps.into_iter().map(|map| (map.name, map.id)).collect()
}

/// The kernel frees programs and maps after a grace period.
fn until_nothing_remains(inventory: &Inventory) {
    let mut left = Vec::new();
    wait::until("nothing is left in the kernel", PATIENCE, || {
        left = inventory.remains();
        left.is_empty().then_some(())
    });
}

#[test]
fn dropping_leaves_nothing_in_the_kernel() {
    if !privilege::granted("ebpf::dropping_leaves_nothing_in_the_kernel") {
        return;
    }
    let group = TestCgroup::enter();
    let fastpath = fastpath::start(FastpathMode::Require, Some(group.path())).expect("attach");
    let inventory = Inventory::of(&programs(&fastpath));
    let known = maps(&fastpath);
    assert_eq!((inventory.programs.len(), inventory.links.len(), known.len()), (2, 1, 12), "{inventory:?}");
    assert!(known.iter().all(|(_, id)| inventory.maps.contains(id)), "{known:?} are not all in {inventory:?}");
    let pinned = fastpath.status().pinned.expect("a BPF file system is mounted");
    assert!(pinned.join("link").exists(), "{}", pinned.display());

    drop(fastpath);
    assert!(!pinned.exists(), "{} is still there", pinned.display());
    until_nothing_remains(&inventory);
}

#[test]
fn two_gateways_share_a_cgroup() {
    if !privilege::granted("ebpf::two_gateways_share_a_cgroup") {
        return;
    }
    // An upgrade overlaps the old daemon and the new one.
    let group = TestCgroup::enter();
    let old = fastpath::start(FastpathMode::Require, Some(group.path())).expect("attach");
    let new = fastpath::start(FastpathMode::Require, Some(group.path())).expect("take over");
    assert_eq!(maps(&old), maps(&new), "the second goes on with the maps of the first");
    assert_ne!(programs(&old), programs(&new));
    let attached = bpftool(&["cgroup", "show", &group.path().display().to_string()]).expect("the cgroup");
    assert_eq!(attached.as_array().map(Vec::len), Some(1), "{attached}");
    let pinned = new.status().pinned.expect("pinned");
    drop(old);
    assert_eq!(new.status().mode, Mode::Kernel);
    assert!(pinned.join("link").exists(), "the first took away what the second uses");
    let inventory = Inventory::of(&programs(&new));
    assert_eq!(inventory.links.len(), 1, "the attachment survives the first");
    drop(new);
    assert!(!pinned.exists());
    until_nothing_remains(&inventory);
}

#[test]
fn pairs_outlive_the_daemon_that_made_them() {
    if !privilege::granted("ebpf::pairs_outlive_the_daemon_that_made_them") {
        return;
    }
    node::run(|node| {
        let (gateway, _announced) = node.gateway("127.0.0.1:8080");
        let connection = node.call(&gateway, "127.0.0.1:8080");
        connection.echo(b"before");
        let cgroup = node.fastpath.status().cgroup.expect("a cgroup");
        let next = fastpath::start(FastpathMode::Require, Some(&cgroup)).expect("take over");
        let before = node.redirected();
        connection.echo(b"after");
        assert_eq!(node.redirected(), before + 2, "an open connection lost its way past TCP");
        assert_eq!(next.status().pairs.map(|pairs| pairs.callers), Some(1));
        drop(next);
        // Nobody is left to switch it on: through TCP, and nothing lost.
        connection.echo(b"at last");
        assert_eq!(node.redirected(), before + 2);
    });
}

#[test]
fn what_a_killed_daemon_leaves_is_taken_over_and_can_be_removed() {
    if !privilege::granted("ebpf::what_a_killed_daemon_leaves_is_taken_over_and_can_be_removed") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let group = TestCgroup::enter();
    let killed = Daemon::start(&group, directory.path());
    let pinned = killed.pinned();
    killed.signal(Signal::SIGKILL);
    assert!(pinned.join("link").exists(), "a kill must not detach: open connections would lose what is queued");

    let next = Daemon::start(&group, directory.path());
    assert_eq!(next.pinned(), pinned);
    let attached = bpftool(&["cgroup", "show", &group.path().display().to_string()]).expect("the cgroup");
    assert_eq!(attached.as_array().map(Vec::len), Some(1), "{attached}");
    next.signal(Signal::SIGKILL);

    let cgroup = group.path().display().to_string();
    let removed = Command::new(daemon::binary())
        .args(["fastpath", "remove", "--fastpath-cgroup", &cgroup])
        .output()
        .expect("run gateway fastpath remove");
    assert!(removed.status.success(), "{}", String::from_utf8_lossy(&removed.stderr));
    assert!(!pinned.exists());
    // The kernel lets go of a link a moment after its last user has.
    wait::until("nothing is attached", PATIENCE, || {
        let attached = bpftool(&["cgroup", "show", &cgroup]).expect("the cgroup");
        (attached.as_array().map_or(0, Vec::len) == 0).then_some(())
    });
}

#[test]
fn loading_is_all_the_privileges_are_for() {
    if !privilege::granted("ebpf::loading_is_all_the_privileges_are_for") {
        return;
    }
    const LOADING: u64 = 1 << 39 | 1 << 38 | 1 << 21 | 1 << 12;
    let directory = tempfile::tempdir().expect("a directory");
    let group = TestCgroup::enter();
    let daemon = Daemon::start(&group, directory.path());
    wait::until("a worker", PATIENCE, || daemon.said("starts").then_some(()));
    for thread in fs::read_dir(format!("/proc/{}/task", daemon.child.id())).expect("its threads") {
        let thread = thread.expect("a thread").path();
        let name = fs::read_to_string(thread.join("comm")).expect("its name");
        let status = fs::read_to_string(thread.join("status")).expect("its status");
        let mask = status.lines().find_map(|line| line.strip_prefix("CapEff:")).expect("the line");
        let mask = u64::from_str_radix(mask.trim(), 16).expect("a mask");
        assert!(mask & LOADING == 0, "thread {name} still has {mask:x}");
    }
    daemon.signal(Signal::SIGTERM);
}

#[test]
fn a_drained_daemon_leaves_nothing() {
    if !privilege::granted("ebpf::a_drained_daemon_leaves_nothing") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let group = TestCgroup::enter();
    let drained = Daemon::start(&group, directory.path());
    let pinned = drained.pinned();
    drained.signal(Signal::SIGTERM);
    assert!(!pinned.exists(), "{} is still there", pinned.display());
}

/// The daemon as a process in the cgroup; killed on drop.
struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Daemon {
    fn start(group: &TestCgroup, directory: &std::path::Path) -> Self {
        static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let log = directory.join(format!("gateway-{number}.log"));
        let objects = directory.join("objects");
        fs::create_dir_all(&objects).expect("a directory");
        // Every address port 0: other daemons may run on this machine.
        let child = Command::new(daemon::binary())
            .args(["run", "--readiness", "off", "--metrics", "off", "--admin", "127.0.0.1:0"])
            .args(["--drain-announce-seconds", "0", "--drain-seconds", "1", "--fastpath", "require", "-f"])
            .arg(objects)
            .arg("--fastpath-cgroup")
            .arg(group.path())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log).expect("a file"))
            .spawn()
            .expect("start the gateway");
        let daemon = Self { child, log };
        wait::until("the gateway to attach", PATIENCE, || daemon.said("fast path: attached").then_some(()));
        daemon
    }

    fn said(&self, words: &str) -> bool {
        fs::read_to_string(&self.log).unwrap_or_default().contains(words)
    }

    /// The only directory of pins in use.
    fn pinned(&self) -> PathBuf {
        let said = fs::read_to_string(&self.log).unwrap_or_default();
        let line = said.lines().find(|line| line.contains("fast path: attached")).expect("the line");
        PathBuf::from(line.split("pinned in ").nth(1).expect("where it is pinned").trim())
    }

    /// Sends it and waits for the end.
    fn signal(mut self, signal: Signal) {
        let id = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).expect("a process id"));
        kill(id, signal).expect("a child of ours");
        wait::until("the gateway to end", PATIENCE, || self.child.try_wait().expect("a child of ours"));
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
