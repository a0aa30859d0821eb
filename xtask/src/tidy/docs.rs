//! Rules of the documents: what they name exists.

use super::Finding;
use crate::workspace;
use anyhow::Context;
use std::{collections::BTreeSet, fs};

/// Every invariant of ARCHITECTURE.md names a test, and every test it names is there.
pub(crate) fn invariants(tracked: &[String]) -> anyhow::Result<Vec<Finding>> {
    let text = fs::read_to_string(workspace::root().join("ARCHITECTURE.md")).context("read ARCHITECTURE.md")?;
    let section = text.split("## Invariants").nth(1).and_then(|rest| rest.split("\n## ").next()).unwrap_or_default();
    let mut functions = BTreeSet::new();
    for path in tracked.iter().filter(|path| path.ends_with(".rs")) {
        let source = fs::read_to_string(workspace::root().join(path)).with_context(|| format!("read {path}"))?;
        functions.extend(source.split("fn ").skip(1).filter_map(|rest| rest.split('(').next()).map(str::to_owned));
    }
    let mut findings = Vec::new();
    let numbered = section.lines().filter(|line| line.starts_with(|first: char| first.is_ascii_digit()));
    for line in numbered {
        // Test names are the code spans with an underscore and nothing but a name in them; fuzz targets are named as such.
        let line = line.split("fuzz target").next().unwrap_or_default();
        let is_name = |span: &&str| {
            span.contains('_') && span.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        };
        let names: Vec<&str> = line.split('`').skip(1).step_by(2).filter(is_name).collect();
        if names.is_empty() {
            findings.push(format!("ARCHITECTURE.md: name the test that holds: {line}"));
        }
        let missing = names.into_iter().filter(|name| !functions.contains(*name));
        findings.extend(missing.map(|name| format!("ARCHITECTURE.md names the test {name}, which does not exist")));
    }
    Ok(findings)
}
