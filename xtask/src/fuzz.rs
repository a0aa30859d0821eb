//! `fuzz`: the fuzz targets of gateway/fuzz, with the release compiler.
//!
//! The coverage instrumentation is a stable compiler option; only sanitizers would need a nightly, and the targets have no
//! unsafe code for those to look into.

use crate::{
    command::{self, cargo},
    install as tools,
    interrupt::Interrupt,
    output::styled,
    workspace,
};
use anyhow::bail;
use std::{path::PathBuf, process::Command};

/// Runs the fuzz targets of gateway/fuzz.
///
/// Installs cargo-fuzz with cargo install, where it is missing. Inputs that crashed stay in gateway/fuzz/artifacts.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Seconds each target runs.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Only this target.
    #[arg(long)]
    target: Option<String>,
}

pub(crate) fn run(arguments: &Arguments, interrupt: &Interrupt) -> anyhow::Result<()> {
    install(interrupt)?;
    let good = match &arguments.target {
        Some(target) => run_target(target, arguments.seconds, interrupt)?,
        None => run_all(arguments.seconds, interrupt, |_| {})?,
    };
    if good { Ok(()) } else { bail!("a fuzz target failed; the input is in gateway/fuzz/artifacts") }
}

/// cargo-fuzz, where it is missing.
pub(crate) fn install(interrupt: &Interrupt) -> anyhow::Result<()> {
    tools::tools(&[tools::Tool { program: "g++", package: "g++" }], interrupt)?;
    if tools::find("cargo-fuzz").is_none() {
        eprintln!("Installing with cargo: cargo-fuzz (about a minute)");
        command::run(&mut cargo(["install", "cargo-fuzz", "--locked"]), interrupt)?;
    }
    Ok(())
}

/// Runs every target for `seconds` and tells `report` whether it survived.
pub(crate) fn run_all(seconds: u64, interrupt: &Interrupt, mut report: impl FnMut(bool)) -> anyhow::Result<bool> {
    let mut good = true;
    for target in targets(interrupt)? {
        let survived = run_target(&target, seconds, interrupt)?;
        let verdict = if survived { styled("32", "ok") } else { styled("31", "FAILED") };
        println!("fuzz {target} ... {verdict}");
        report(survived);
        good &= survived;
    }
    Ok(good)
}

fn run_target(target: &str, seconds: u64, interrupt: &Interrupt) -> anyhow::Result<bool> {
    let mut fuzz = cargo_fuzz(&["run", "--sanitizer", "none"]);
    // Beside the other builds, where a cache of them keeps it too.
    fuzz.arg("--target-dir").arg(workspace::target().join("fuzz")).args([target, "--"]);
    // A minute's worth of corpus from the last run is kept; an input that takes longer than this is a finding.
    fuzz.arg(format!("-max_total_time={seconds}")).args(["-timeout=10", "-rss_limit_mb=2048", "-verbosity=0"]);
    Ok(command::status(&mut fuzz, interrupt)?.success())
}

fn targets(interrupt: &Interrupt) -> anyhow::Result<Vec<String>> {
    let listed = command::output(&mut cargo_fuzz(&["list"]), interrupt)?;
    Ok(listed.lines().map(str::to_owned).collect())
}

fn cargo_fuzz(arguments: &[&str]) -> Command {
    let mut command = cargo(["fuzz"]);
    command.args(arguments).current_dir(crate_directory());
    command
}

fn crate_directory() -> PathBuf {
    workspace::root().join("gateway")
}
