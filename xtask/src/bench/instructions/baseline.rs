//! tests/bench/instructions.toml: what a lookup and a request took when somebody last looked, and why they grew.

use crate::workspace;
use anyhow::Context;
use std::{env::consts::ARCH, fs, path::PathBuf};

const HEAD: &str = "\
# Instructions of one lookup and one request, by architecture. `cargo xtask test --only bench` fails when one of them grows
# by more than 3 %. Written by: cargo xtask bench --instructions --write [--note 'WHY it grew']
";

/// The file, line by line: sections in brackets, `name = number`, and notes as comments.
pub(super) struct Baseline {
    lines: Vec<String>,
}

fn path() -> PathBuf {
    workspace::root().join("tests/bench/instructions.toml")
}

impl Baseline {
    pub(super) fn read() -> anyhow::Result<Self> {
        let path = path();
        let text = if path.exists() {
            fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?
        } else {
            HEAD.to_owned()
        };
        Ok(Self { lines: text.lines().map(str::to_owned).collect() })
    }

    /// What it says of `what` on this architecture.
    pub(super) fn of(&self, what: &str) -> Option<u64> {
        let section = format!("[{ARCH}]");
        let lines = self.lines.iter().skip_while(|line| **line != section).skip(1);
        let mut own = lines.take_while(|line| !line.starts_with('['));
        own.find_map(|line| line.strip_prefix(what)?.trim_start().strip_prefix('=')?.trim().parse().ok())
    }

    /// Replaces the section of this architecture, but for its notes, and adds one.
    pub(super) fn write(mut self, counted: &[(&str, u64)], note: Option<&str>) -> anyhow::Result<()> {
        let section = format!("[{ARCH}]");
        let start = self.lines.iter().position(|line| *line == section).unwrap_or_else(|| {
            self.lines.push(section);
            self.lines.len() - 1
        });
        let rest = self.lines[start + 1..].iter().position(|line| line.starts_with('['));
        let end = rest.map_or(self.lines.len(), |rest| start + 1 + rest);
        let mut own: Vec<String> =
            self.lines[start + 1..end].iter().filter(|line| line.starts_with('#')).cloned().collect();
        own.extend(note.map(|note| format!("# {note}")));
        own.extend(counted.iter().map(|(what, count)| format!("{what} = {count}")));
        self.lines.splice(start + 1..end, own);
        let path = path();
        fs::write(&path, self.lines.join("\n") + "\n").with_context(|| format!("write {}", path.display()))
    }
}
