//! Instructions instead of time: the same on a busy machine, so that CI can refuse what costs more.
//!
//! callgrind counts the instructions of many lookups and many requests in one process, and those of few in another; the
//! difference is theirs alone, without start and end. It emulates the processor, so that the counts of two machines of
//! one architecture differ only by what libraries choose for its features, which is held back as far as that goes.

mod baseline;
mod exchange;

use crate::{
    command::run as run_command,
    image::{self, Profile, statically},
    install::{self, Tool},
    interrupt::Interrupt,
    workspace,
};
use anyhow::{Context, ensure};
use baseline::Baseline;
use std::{path::Path, process::Command};

/// Lookups in the longer of two runs, beyond those of the shorter.
const LOOKUPS: u64 = 20_000;

/// What an instruction count may grow without a word: what a compiler's mood and a library's choice make of it.
const TOLERANCE: f64 = 0.03;

/// Counts, and compares with tests/bench/instructions.toml, or writes it.
///
/// # Errors
/// When something grew by more than 3 %, and no note says why.
pub(super) fn run(write: bool, note: Option<&str>, interrupt: &Interrupt) -> anyhow::Result<()> {
    install::tools(&[Tool { program: "valgrind", package: "valgrind" }], interrupt)?;
    let gateway = image::daemon(&workspace::root(), Profile::Quick, interrupt)?;
    let counted = [("lookup", of_a_lookup(interrupt)?), ("request", of_a_request(&gateway, interrupt)?)];
    let baseline = Baseline::read()?;
    let mut grown = Vec::new();
    for (what, count) in counted {
        let before = baseline.of(what);
        #[expect(clippy::cast_precision_loss, reason = "a count of thousands")]
        let growth = before.map(|before| count as f64 / before as f64 - 1.0);
        let said = growth.map_or_else(|| "no baseline".to_owned(), |growth| format!("{:+.1} %", growth * 100.0));
        println!("{what:<8} {count:>8} instructions  {said}");
        if growth.is_some_and(|growth| growth > TOLERANCE) {
            grown.push(what);
        }
    }
    if write {
        ensure!(
            grown.is_empty() || note.is_some(),
            "{} grew: say in --note what it is worth, or make it cheaper",
            grown.join(" and ")
        );
        return baseline.write(&counted, note);
    }
    ensure!(
        grown.is_empty(),
        "{} takes more instructions than tests/bench/instructions.toml says: make it cheaper, or say what it is worth \
         with cargo xtask bench --instructions --write --note 'WHY'",
        grown.join(" and ")
    );
    for what in counted.map(|(what, _)| what) {
        ensure!(
            baseline.of(what).is_some(),
            "tests/bench/instructions.toml says nothing of {what} on this architecture: cargo xtask bench \
             --instructions --write"
        );
    }
    Ok(())
}

/// One lookup among prefixes, as gateway/benches does it.
fn of_a_lookup(interrupt: &Interrupt) -> anyhow::Result<u64> {
    eprintln!("Building the lookups");
    let (mut build, directory) = statically(&workspace::root(), "build", Profile::Quick, interrupt)?;
    run_command(build.args(["--quiet", "--package", "gateway-bench"]), interrupt)?;
    let bench = directory.join(Profile::Quick.name()).join("bench-routing");
    let count = |lookups: u64| -> anyhow::Result<u64> {
        interrupt.check()?;
        let output = callgrind(&bench).args(["--lookups", &lookups.to_string()]).output().context("run valgrind")?;
        collected(&String::from_utf8_lossy(&output.stderr))
    };
    // Enough in the shorter run for everything that is done once.
    let few = LOOKUPS / 10;
    Ok((count(few + LOOKUPS)? - count(few)?) / LOOKUPS)
}

/// One request with a kept connection on both sides, in the daemon as a whole.
pub(super) fn of_a_request(gateway: &Path, interrupt: &Interrupt) -> anyhow::Result<u64> {
    const REQUESTS: u64 = 2_000;
    let few = REQUESTS / 4;
    let more = exchange::instructions(gateway, few + REQUESTS, interrupt)?;
    Ok((more - exchange::instructions(gateway, few, interrupt)?) / REQUESTS)
}

/// A program under callgrind. Its file of results goes nowhere: the sum is printed.
fn callgrind(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--", "valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    command.arg(program);
    // What glibc copies memory with: the same on every machine that has run Linux in the last ten years.
    command.env("GLIBC_TUNABLES", "glibc.cpu.hwcaps=-AVX512F,-AVX2,-ERMS,-FSRM");
    command
}

/// `==123== Collected : 456`.
fn collected(said: &str) -> anyhow::Result<u64> {
    let line = said.lines().find_map(|line| line.split_once("Collected : "));
    let count = line.and_then(|(_, count)| count.trim().parse().ok());
    count.with_context(|| format!("valgrind does not say what it has counted: {}", said.trim()))
}
