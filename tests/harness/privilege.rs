//! Tests that need root say so here. Without root they fail, because a test that quietly does nothing looks like one that
//! passed.

use std::{env, fs::OpenOptions, io::Write};

/// Set by `cargo xtask test --unprivileged`: privileged tests may return without having run.
pub const UNPRIVILEGED: &str = "GATEWAY_TESTS_UNPRIVILEGED";
/// Names a file that takes one line for every test that did not run, so that they can be counted.
pub const SKIPPED: &str = "GATEWAY_TESTS_SKIPPED";

/// True when the test `name` may run. False, after noting its name, when the whole run was declared unprivileged.
///
/// # Panics
/// Without root in a run that was not declared unprivileged.
pub fn granted(name: &str) -> bool {
    if nix::unistd::geteuid().is_root() {
        return true;
    }
    assert!(
        env::var_os(UNPRIVILEGED).is_some_and(|value| value == "1"),
        "{name} needs root: run it as root, or run cargo xtask test --unprivileged to leave out what needs it"
    );
    skip(name);
    false
}

/// Notes that the test `name` does not run, so that it is counted.
///
/// # Panics
/// When it cannot be noted.
pub fn skip(name: &str) {
    if let Some(path) = env::var_os(SKIPPED) {
        let noted =
            OpenOptions::new().create(true).append(true).open(path).and_then(|mut file| writeln!(file, "{name}"));
        assert!(noted.is_ok(), "{name} was skipped and cannot be counted: {noted:?}");
    }
}
