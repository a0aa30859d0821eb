//! `cargo xtask bench`: what it counts has not grown, and what it starts is gone when it is.
#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod inventory;

use harness::{daemon::workspace, privilege, wait};
use inventory::Inventory;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use parking_lot::Mutex;
use std::{
    env,
    process::{Child, Command, Stdio},
    time::Duration,
};

/// For what takes seconds on a machine that does nothing else, and first has to build the gateway.
const PATIENCE: Duration = Duration::from_secs(900);

/// One run at a time: two would only wait for each other.
static ALONE: Mutex<()> = Mutex::new(());

fn bench(arguments: &[&str]) -> Command {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["run", "--quiet", "--package", "xtask", "--", "bench"]).args(arguments).current_dir(workspace());
    command.stdin(Stdio::null());
    command
}

/// 3 % more than tests/bench/instructions.toml says fails; `cargo xtask bench --instructions --write --note WHY` is how
/// one says that it is worth it.
#[test]
fn a_lookup_and_a_request_take_no_more_instructions_than_before() {
    let _alone = ALONE.lock();
    let output = bench(&["--instructions"]).output().expect("cargo is installed");
    let said = [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
    assert!(output.status.success(), "{said}");
}

/// Interrupted in the middle of a cell, with everybody running, it leaves nothing.
#[test]
fn an_interrupted_run_leaves_nothing() {
    if !privilege::granted("an_interrupted_run_leaves_nothing") {
        return;
    }
    let _alone = ALONE.lock();
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        // Built before: afterwards cargo becomes what it runs, and the process is the verb's.
        assert!(bench(&["--list"]).stdout(Stdio::null()).status().expect("cargo is installed").success());
        let arguments = ["--quick", "--noisy", "--only", "P1", "--rounds", "99"];
        let mut run =
            Running(bench(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts"));
        let id = run.0.id();
        let during = wait::until("everybody to run", PATIENCE, || {
            assert!(run.0.try_wait().expect("a child of ours").is_none(), "it has ended by itself");
            Inventory::take(id).filter(Inventory::is_a_run)
        });
        kill(Pid::from_raw(i32::try_from(id).expect("a process id")), signal).expect("a child of ours");
        let status = wait::until("it to end", Duration::from_secs(60), || run.0.try_wait().expect("a child of ours"));
        assert_eq!(status.code(), Some(130), "interrupted, it says so");
        wait::until("nothing to be left", Duration::from_secs(10), || during.is_gone().then_some(()));
    }
}

/// Killed when dropped: the rest is what the next run removes.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
