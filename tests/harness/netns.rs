//! A network of one's own: ports, addresses and load of a test concern nobody else, and nothing of it stays.

use nix::sched::{CloneFlags, unshare};
use parking_lot::Mutex;
use std::{panic, process::Command, thread};

/// Addresses of pods: all of them are this host's in the test's network.
const PODS: &str = "10.244.0.0/16";

/// One such test at a time: they measure times, and the machine may have two cores.
static ALONE: Mutex<()> = Mutex::new(());

/// Runs `test` on a thread in a new network namespace, where every port is free and every address of 10.244.0.0/16 can
/// be bound. What the thread starts, threads and processes, is in it too. The namespace ends with the last of them.
///
/// # Panics
/// When `test` does, or without root.
pub fn isolated(test: impl FnOnce() + Send + 'static) {
    let _alone = ALONE.lock();
    let run = thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace of one's own needs root");
        ip(&["link", "set", "lo", "up"]);
        ip(&["route", "add", "local", PODS, "dev", "lo"]);
        test();
    });
    if let Err(panicked) = run.join() {
        panic::resume_unwind(panicked);
    }
}

fn ip(arguments: &[&str]) {
    let status = Command::new("ip").args(arguments).status().expect("ip is installed (package iproute2)");
    assert!(status.success(), "ip {} failed", arguments.join(" "));
}
