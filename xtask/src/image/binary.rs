//! Static binaries: what runs in an image without any library.

use crate::{
    command::{self, cargo, command},
    interrupt::Interrupt,
};
use anyhow::{Context, ensure};
use clap::ValueEnum;
use indicatif::ProgressBar;
use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    process::Command,
};

/// Cargo's profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Profile {
    /// Link-time optimisation: slow to build, the fastest to run.
    Release,
    /// What tests and the demo run.
    Quick,
}

impl Profile {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Quick => "quick",
        }
    }
}

/// Builds `binaries` of the `packages` of `checkout` and returns their paths in that order.
pub(super) fn build(
    checkout: &Path,
    profile: Profile,
    packages: &[&str],
    binaries: &[&str],
    interrupt: &Interrupt,
    bar: &ProgressBar,
) -> anyhow::Result<Vec<PathBuf>> {
    let (mut build, directory) = statically(checkout, "build", profile, interrupt)?;
    build.args(packages.iter().flat_map(|name| ["--package", name]));
    build.args(binaries.iter().flat_map(|name| ["--bin", name]));
    command::watch(&mut build, interrupt, bar)?;
    let built: Vec<PathBuf> = binaries.iter().map(|name| directory.join(profile.name()).join(name)).collect();
    for binary in &built {
        ensure!(is_static(binary)?, "{} needs shared libraries: it would not start in an image", binary.display());
    }
    Ok(built)
}

/// cargo's `verb` for static programs of `checkout`, and where they come to be.
///
/// They have a target directory of their own, since other builds do not want the flag; and naming the target keeps it
/// away from build scripts and procedural macros, which glibc could not load as static ones.
pub(crate) fn statically(
    checkout: &Path,
    verb: &str,
    profile: Profile,
    interrupt: &Interrupt,
) -> anyhow::Result<(Command, PathBuf)> {
    let host = command::output(&mut command("rustc", ["--print", "host-tuple"]), interrupt)?;
    let host = host.trim();
    let directory = checkout.join("target/image");
    let mut cargo = cargo([verb, "--profile", profile.name(), "--target", host]);
    cargo.arg("--target-dir").arg(&directory).current_dir(checkout);
    cargo.env("RUSTFLAGS", "-C target-feature=+crt-static").env_remove("CARGO_ENCODED_RUSTFLAGS");
    Ok((cargo, directory.join(host)))
}

/// Whether `binary` names no interpreter (no program header of type `PT_INTERP`, elf(5)).
fn is_static(binary: &Path) -> anyhow::Result<bool> {
    let mut head = Vec::new();
    File::open(binary).and_then(|file| file.take(HEADERS).read_to_end(&mut head))?;
    let number = |at: usize, bytes: usize| -> Option<usize> {
        let little_endian = head.get(at..at + bytes)?.iter().rev();
        Some(little_endian.fold(0, |number, byte| number << 8 | usize::from(*byte)))
    };
    let interpreter = || -> Option<bool> {
        let (start, size, count) = (number(0x20, 8)?, number(0x36, 2)?, number(0x38, 2)?);
        let mut types = (0..count).map(|index| number(start + index * size, 4));
        Some(types.any(|kind| kind == Some(PT_INTERP)))
    };
    interpreter().map(|found| !found).with_context(|| format!("{} is no ELF program", binary.display()))
}

/// Linkers put the program headers right behind the file's own.
const HEADERS: u64 = 4096;
const PT_INTERP: usize = 3;

#[cfg(test)]
mod tests {
    use super::is_static;
    use std::path::Path;

    #[test]
    fn an_ordinary_program_is_not_static() {
        assert!(!is_static(&std::env::current_exe().unwrap()).unwrap());
        assert!(is_static(Path::new("/dev/null")).is_err());
    }
}
