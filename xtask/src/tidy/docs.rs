//! Rules of the documents: what they name exists.

use super::Finding;
use crate::workspace;
use anyhow::Context;
use std::{collections::BTreeSet, fs};

/// Every field of Istio's schema has a row in docs/features.md, and every test that a row names is there. Whether the
/// states are true is for a test of the gateway to say.
pub(crate) fn features(tracked: &[String]) -> anyhow::Result<Vec<Finding>> {
    let read = |path: &str| fs::read_to_string(workspace::root().join(path)).with_context(|| format!("read {path}"));
    let page = read("docs/features.md")?;
    let schema = read("gateway/src/istio/testdata/schema.txt")?;
    let functions = functions(tracked)?;
    let is_case =
        |name: &str| tracked.iter().any(|path| path.starts_with("tests/istio/") && path.contains(&format!("/{name}/")));
    let mut rows = BTreeSet::new();
    let mut findings = Vec::new();
    let mut kind = "";
    for line in page.lines() {
        kind = line.strip_prefix("## ").unwrap_or(kind);
        let cells: Vec<&str> = line.split('|').map(|cell| cell.trim().trim_matches('`')).collect();
        let [_, path, state, test, ..] = cells[..] else { continue };
        if matches!(state, "served" | "partly" | "reported" | "ignored") {
            rows.insert(format!("{kind} {path}"));
            if !functions.contains(test) && !is_case(test) {
                findings.push(format!("docs/features.md: {path} names the test {test:?}, which does not exist"));
            }
        }
    }
    for line in schema.lines().filter(|line| !line.starts_with('#')) {
        let mut words = line.split(' ');
        let (kind, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        // Traffic policies are the same in four places.
        let path = path
            .replace("spec.subsets[].trafficPolicy", "trafficPolicy")
            .replace("spec.trafficPolicy", "trafficPolicy");
        let row = format!("{kind} {}", path.replace(".portLevelSettings[]", ""));
        if rows.insert(row.clone()) {
            findings.push(format!("docs/features.md: add a row for {row}"));
        }
    }
    Ok(findings)
}

/// The names of all functions.
fn functions(tracked: &[String]) -> anyhow::Result<BTreeSet<String>> {
    let mut functions = BTreeSet::new();
    for path in tracked.iter().filter(|path| path.ends_with(".rs")) {
        let source = fs::read_to_string(workspace::root().join(path)).with_context(|| format!("read {path}"))?;
        functions.extend(source.split("fn ").skip(1).filter_map(|rest| rest.split('(').next()).map(str::to_owned));
    }
    Ok(functions)
}

/// Every invariant of ARCHITECTURE.md names a test, and every test it names is there.
pub(crate) fn invariants(tracked: &[String]) -> anyhow::Result<Vec<Finding>> {
    let text = fs::read_to_string(workspace::root().join("ARCHITECTURE.md")).context("read ARCHITECTURE.md")?;
    let section = text.split("## Invariants").nth(1).and_then(|rest| rest.split("\n## ").next()).unwrap_or_default();
    let functions = functions(tracked)?;
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
