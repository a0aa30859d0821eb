//! What a test must not leave: complaints of the kernel, memory of sockets, connections.

use super::Namespace;
use harness::wait;
use std::{fs, process::Command, time::Duration};

const PATIENCE: Duration = Duration::from_secs(60);
/// Socket memory is counted for the whole machine, in pages: others have connections too.
const NOISE: u64 = (8 << 20) / 4096;
/// How the kernel begins to say that something is wrong with it.
const COMPLAINTS: [&str; 9] = [
    "BUG:",
    "WARNING:",
    "Oops",
    "general protection",
    "refcount_t",
    "KASAN",
    "RCU stall",
    "soft lockup",
    "out of memory -- consider tuning tcp_mem",
];

/// The state of the kernel before a test.
pub(crate) struct Traces {
    lines: usize,
    pages: u64,
}

impl Traces {
    pub(crate) fn before() -> Self {
        Self { lines: complaints().len(), pages: pages() }
    }

    /// # Panics
    /// When the kernel has complained since, or has not got its memory back.
    pub(crate) fn assert_none(&self) {
        let complaints = complaints();
        assert!(complaints.len() <= self.lines, "the kernel complains:\n{}", complaints[self.lines..].join("\n"));
        let mut now = 0;
        wait::until("the memory of the sockets comes back", PATIENCE, || {
            now = pages();
            (now <= self.pages + NOISE).then_some(())
        });
    }
}

fn complaints() -> Vec<String> {
    let output = Command::new("dmesg").output().expect("dmesg (package util-linux)");
    let log = String::from_utf8_lossy(&output.stdout).into_owned();
    log.lines().filter(|line| COMPLAINTS.iter().any(|word| line.contains(word))).map(str::to_owned).collect()
}

/// Pages of memory all TCP sockets of the machine hold.
fn pages() -> u64 {
    let sockets = fs::read_to_string("/proc/net/sockstat").expect("sockstat");
    let tcp = sockets.lines().find_map(|line| line.strip_prefix("TCP: ")).expect("a line for TCP");
    field(tcp, "mem")
}

/// Waits until no TCP socket of `namespace` is open.
pub(super) fn no_sockets(name: &str, namespace: &Namespace) {
    let mut left = String::new();
    let limit = std::time::Instant::now() + PATIENCE;
    wait::until(&format!("the sockets of {name} to be gone"), PATIENCE * 2, || {
        left = namespace.run("ss -Htan state connected exclude time-wait");
        assert!(std::time::Instant::now() < limit, "sockets of {name} are left:\n{left}");
        left.trim().is_empty().then_some(())
    });
}

fn field(line: &str, name: &str) -> u64 {
    let mut words = line.split(' ').skip_while(|word| *word != name);
    words.nth(1).and_then(|value| value.parse().ok()).expect("a number")
}
