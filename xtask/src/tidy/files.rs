//! What lies where, how long it is, and how it starts.

use super::Finding;
use crate::{
    command::{command, output},
    interrupt::Interrupt,
    workspace,
};
use anyhow::Context;
use std::{collections::BTreeSet, fs};

/// A reader holds a file of this length in mind at the utmost; the median is far below.
const LONGEST: usize = 800;

/// Files that may be longer, each with its reason.
const LONG_FILES: [(&str, &str); 0] = [];

const TOP_LEVEL: [&str; 20] = [
    ".cargo",
    ".ci",
    ".gitignore",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "STYLE.md",
    "clippy.toml",
    "deny.toml",
    "deploy",
    "docs",
    "gateway",
    "gateway-ebpf",
    "rust-toolchain.toml",
    "rustfmt.toml",
    "tests",
    "xtask",
];

/// Workspaces of their own cannot inherit.
const OWN_WORKSPACES: [&str; 1] = ["gateway/fuzz/Cargo.toml"];

/// Every file that git has or would take.
pub(crate) fn tracked(interrupt: &Interrupt) -> anyhow::Result<Vec<String>> {
    let arguments = ["ls-files", "--cached", "--others", "--exclude-standard"];
    let listed = output(&mut command("git", arguments), interrupt)?;
    let exists = |path: &&str| workspace::root().join(path).is_file();
    Ok(listed.lines().filter(exists).map(str::to_owned).collect())
}

pub(crate) fn top_level(tracked: &[String]) -> Vec<Finding> {
    let names: BTreeSet<&str> = tracked.iter().filter_map(|path| path.split('/').next()).collect();
    let odd = names.into_iter().filter(|name| !TOP_LEVEL.contains(name));
    odd.map(|name| format!("{name}: does not belong at the top level; see the list in xtask/src/tidy/files.rs"))
        .collect()
}

pub(crate) fn sources(tracked: &[String]) -> anyhow::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for path in tracked.iter().filter(|path| path.ends_with(".rs")) {
        let text = read(path)?;
        let lines = text.lines().count();
        if lines > LONGEST && !LONG_FILES.iter().any(|(allowed, _)| allowed == path) {
            findings.push(format!("{path}: {lines} lines; split it by concept, {LONGEST} is the limit"));
        }
        if !text.starts_with("//!") {
            findings.push(format!("{path}: does not start with `//!` and what the file is for"));
        }
        if path.ends_with("/mod.rs") {
            findings.push(format!("{path}: name it after its module, beside the folder"));
        }
    }
    Ok(findings)
}

pub(crate) fn manifests(tracked: &[String]) -> anyhow::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let manifests = tracked.iter().filter(|path| path.ends_with("/Cargo.toml"));
    for path in manifests.filter(|path| !OWN_WORKSPACES.contains(&path.as_str())) {
        if !read(path)?.contains("[lints]\nworkspace = true\n") {
            findings.push(format!("{path}: add [lints] workspace = true"));
        }
    }
    Ok(findings)
}

pub(crate) fn read(path: &str) -> anyhow::Result<String> {
    fs::read_to_string(workspace::root().join(path)).with_context(|| format!("read {path}"))
}
