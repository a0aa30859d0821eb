//! Who runs where when figures are wanted, with `NODE_GATEWAY_SCALE=full`: attackers have one CPU, and the gateway the
//! other, so that what a victim waits for is the gateway and not the programs of its attackers, nor what the kernel does for
//! them. The victim and its endpoint are with the gateway, and go before it: they need little. Without that, everybody runs
//! where there is room.

use harness::scale;
use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::{Pid, gettid},
};
use std::{fs, path::Path, process::Command, sync::OnceLock, thread, time::Duration};

const ATTACKERS: usize = 0;
const GATEWAY: usize = 1;

/// Whether figures are wanted, and there is a CPU for the gateway alone.
pub(crate) fn is_apart() -> bool {
    // Asked before anybody is pinned: the number is that of the CPUs a thread may use.
    static APART: OnceLock<bool> = OnceLock::new();
    *APART.get_or_init(|| scale::is_full() && thread::available_parallelism().is_ok_and(|count| count.get() > 1))
}

/// What starts the gateway where it belongs, before whatever else the machine does there.
pub(crate) fn launcher() -> &'static [&'static str] {
    if is_apart() { &["taskset", "--cpu-list", "1", "nice", "--adjustment", "-20"] } else { &[] }
}

/// Leaves the gateway's CPU to it: all that this process runs, now and from now on, is elsewhere.
pub(crate) fn leave_the_gateway_alone() {
    if !is_apart() {
        return;
    }
    let cpus = only(ATTACKERS);
    for task in fs::read_dir("/proc/self/task").expect("the threads of this process").flatten() {
        let id = task.file_name().to_str().and_then(|name| name.parse().ok()).expect("a thread's number");
        // It may have ended meanwhile.
        let _pinned = sched_setaffinity(Pid::from_raw(id), &cpus).is_ok();
    }
}

/// The threads that `start` begins are on the gateway's CPU, and go before it there (sched(7): a thread inherits its policy
/// and its CPUs).
pub(crate) fn before_the_gateway<T>(start: impl FnOnce() -> T) -> T {
    let own = Pid::from_raw(0);
    if is_apart() {
        set_policy("--fifo", 1);
        sched_setaffinity(own, &only(GATEWAY)).expect("the second CPU");
    }
    let started = start();
    if is_apart() {
        sched_setaffinity(own, &only(ATTACKERS)).expect("the first CPU");
        set_policy("--other", 0);
    }
    started
}

fn only(cpu: usize) -> CpuSet {
    let mut cpus = CpuSet::new();
    cpus.set(cpu).expect("a CPU's number");
    cpus
}

/// How long the thread with this `schedstat` could have gone on and had no CPU (Documentation/scheduler/sched-stats.rst of
/// the kernel: the second field, in nanoseconds).
pub(crate) fn waited(schedstat: &Path) -> Duration {
    let text = fs::read_to_string(schedstat).unwrap_or_default();
    let nanoseconds = text.split_whitespace().nth(1).and_then(|number| number.parse().ok());
    Duration::from_nanos(nanoseconds.unwrap_or_default())
}

fn set_policy(policy: &str, priority: u32) {
    let thread = gettid().to_string();
    let set = Command::new("chrt").args([policy, "--pid", &priority.to_string(), &thread]).status();
    assert!(set.expect("chrt").success(), "chrt {policy} needs CAP_SYS_NICE");
}
