//! `build-ebpf`: the kernel half, with a compiler of its own.
//!
//! Rust's stable toolchain ships no `core` for the BPF target. Debian's `rustc-web` does, which spares everybody a nightly
//! toolchain; elsewhere nightly and `rust-src` do. Either way `bpf-linker` links.

use crate::{
    command::{self, cargo, command},
    install,
    interrupt::Interrupt,
    workspace,
};
use anyhow::{Context, bail};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Builds the BPF object the daemon embeds: target/bpf/gateway-ebpf.o.
///
/// Installs what it needs, where it is missing: the Debian packages rustc-web, libstd-rust-web-dev-bpf, llvm-22-dev,
/// libpolly-22-dev and libzstd-dev, and bpf-linker with cargo install.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Leave a guard out and write target/bpf/gateway-ebpf-without-GUARD.o instead: for tests that prove what it is good for
    #[arg(long, value_name = "GUARD", value_parser = GUARDS)]
    without: Option<String>,
}

/// What an object for tests can lack: the features `without-…` of gateway-ebpf.
const GUARDS: [&str; 12] = [
    "unread", "flight", "sticky", "memory", "switch", "stale", "pause", "blocking", "closing", "proof", "room",
    "choice",
];

const PACKAGES: [&str; 5] = ["rustc-web", "libstd-rust-web-dev-bpf", "llvm-22-dev", "libpolly-22-dev", "libzstd-dev"];
const TARGET: &str = "bpfel-unknown-none";
const WITHOUT_DEBIAN: &str = "\
building the BPF object needs a compiler with the BPF target. Without Debian's packages, install:
  rustup toolchain install nightly --component rust-src
  cargo install bpf-linker
and run this again";

pub(crate) fn build(interrupt: &Interrupt) -> anyhow::Result<PathBuf> {
    build_object(None, interrupt)
}

/// Builds every object that lacks a guard.
pub(crate) fn build_unguarded(interrupt: &Interrupt) -> anyhow::Result<()> {
    GUARDS.iter().try_for_each(|guard| build_object(Some(guard), interrupt).map(drop))
}

fn build_object(without: Option<&str>, interrupt: &Interrupt) -> anyhow::Result<PathBuf> {
    let toolchain = Toolchain::find(interrupt)?;
    let target_directory = workspace::target().join("bpf");
    let mut compile = toolchain.cargo();
    compile
        .args(["build", "--quiet", "--profile", "bpf", "--package", "gateway-ebpf", "--features", "bpf"])
        .args(without.map(|guard| format!("--features=without-{guard}")))
        .args(["--bin", "gateway-ebpf", "--target", TARGET, "--target-dir"])
        .arg(&target_directory)
        // The paths of the machine that built it have no place in the object's line information.
        .env("RUSTFLAGS", format!("-C debuginfo=2 -C link-arg=--btf {}", remapped_paths()))
        // Set by the cargo that runs us, for its own compiler.
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("RUSTC_WRAPPER");
    command::run(&mut compile, interrupt).context("build the BPF object")?;
    let mut object = workspace::ebpf_object();
    if let Some(guard) = without {
        object.set_file_name(format!("gateway-ebpf-without-{guard}.o"));
    }
    let built = target_directory.join(TARGET).join("bpf/gateway-ebpf");
    replace_if_different(&built, &object)?;
    Ok(object)
}

pub(crate) fn run(arguments: &Arguments, interrupt: &Interrupt) -> anyhow::Result<()> {
    let object = build_object(arguments.without.as_deref(), interrupt)?;
    println!("{}", object.display());
    Ok(())
}

enum Toolchain {
    /// `rustc-web`, with a precompiled `core`.
    Debian,
    /// A nightly that compiles `core` itself.
    Nightly,
}

impl Toolchain {
    fn find(interrupt: &Interrupt) -> anyhow::Result<Self> {
        if debian_core_exists() && install::find("bpf-linker").is_some() {
            return Ok(Self::Debian);
        }
        if install::find("bpf-linker").is_some() && nightly_has_sources() {
            return Ok(Self::Nightly);
        }
        if !debian_has_packages() {
            bail!(WITHOUT_DEBIAN);
        }
        if !debian_core_exists() {
            install::packages(&PACKAGES, interrupt)?;
        }
        if install::find("bpf-linker").is_none() {
            eprintln!("Installing with cargo: bpf-linker (about a minute)");
            let mut linker =
                cargo(["install", "bpf-linker", "--locked", "--no-default-features", "--features", "llvm-22"]);
            command::run(linker.env("LLVM_PREFIX", "/usr/lib/llvm-22"), interrupt)?;
        }
        Ok(Self::Debian)
    }

    fn cargo(&self) -> Command {
        match self {
            Self::Debian => {
                let mut command = cargo([] as [&str; 0]);
                // Target features of BPF are unstable; the release compiler takes them with this.
                command.env("RUSTC", "/usr/bin/rustc").env("RUSTC_BOOTSTRAP", "1");
                command
            }
            Self::Nightly => {
                let mut command = command("rustup", ["run", "nightly", "cargo", "-Zbuild-std=core"]);
                command.env_remove("RUSTC").env_remove("CARGO").env_remove("RUSTUP_TOOLCHAIN");
                command
            }
        }
    }
}

/// Asks the compiler itself; the packages of another Debian release put the library elsewhere.
fn debian_core_exists() -> bool {
    let printed = command("/usr/bin/rustc", ["--print", "target-libdir", "--target", TARGET]).output();
    printed.is_ok_and(|output| Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir())
}

fn nightly_has_sources() -> bool {
    let printed = command("rustup", ["run", "nightly", "rustc", "--print", "sysroot"]).output();
    printed.is_ok_and(|output| {
        let sysroot = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
        output.status.success() && sysroot.join("lib/rustlib/src/rust/library/core").is_dir()
    })
}

fn debian_has_packages() -> bool {
    install::find("apt-get").is_some()
}

fn remapped_paths() -> String {
    let home = std::env::var("CARGO_HOME").or_else(|_| std::env::var("HOME").map(|home| format!("{home}/.cargo")));
    let registry = home.map(|home| format!("--remap-path-prefix={home}/registry/src=registry")).unwrap_or_default();
    format!("--remap-path-prefix={}=. {registry}", workspace::root().display())
}

/// An object that did not change keeps its modification time, and the daemon is not built again.
fn replace_if_different(built: &Path, object: &Path) -> anyhow::Result<()> {
    let new = fs::read(built).with_context(|| format!("read {}", built.display()))?;
    if fs::read(object).is_ok_and(|old| old == new) {
        return Ok(());
    }
    let temporary = object.with_extension("new");
    fs::write(&temporary, new).with_context(|| format!("write {}", temporary.display()))?;
    fs::rename(&temporary, object).with_context(|| format!("write {}", object.display()))
}
