//! The maps of a running gateway, through bpftool, as an operator would look at them.

use serde::Deserialize;
use serde_json::Value;
use std::{
    io::Write as _,
    process::{Command, Stdio},
};

/// What became of messages, of both legs and both directions together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Counts {
    /// Messages put into the peer's queue past TCP.
    #[serde(rename = "redirected_messages")]
    pub(crate) redirected: u64,
    #[serde(rename = "redirected_bytes")]
    pub(crate) bytes: u64,
    /// Messages left to TCP, whatever the reason.
    #[serde(rename = "passed_messages")]
    pub(crate) passed: u64,
    pub(crate) passed_bytes: u64,
    pub(crate) passed_unread: u64,
    pub(crate) passed_sticky: u64,
    pub(crate) passed_blocking: u64,
    pub(crate) passed_over_budget: u64,
    pub(crate) passed_paused: u64,
    pub(crate) passed_off: u64,
    pub(crate) passed_stale: u64,
}

impl Counts {
    fn combine(&self, other: &Self, of: fn(u64, u64) -> u64) -> Self {
        Self {
            redirected: of(self.redirected, other.redirected),
            bytes: of(self.bytes, other.bytes),
            passed: of(self.passed, other.passed),
            passed_bytes: of(self.passed_bytes, other.passed_bytes),
            passed_unread: of(self.passed_unread, other.passed_unread),
            passed_sticky: of(self.passed_sticky, other.passed_sticky),
            passed_blocking: of(self.passed_blocking, other.passed_blocking),
            passed_over_budget: of(self.passed_over_budget, other.passed_over_budget),
            passed_paused: of(self.passed_paused, other.passed_paused),
            passed_off: of(self.passed_off, other.passed_off),
            passed_stale: of(self.passed_stale, other.passed_stale),
        }
    }

    /// What has been counted since `before`.
    pub(crate) fn since(&self, before: &Self) -> Self {
        self.combine(before, |now, before| now - before)
    }

    /// The sums over all CPUs for each direction (`gateway_ebpf::Direction`) in the map with this id.
    pub(super) fn read(map: u64) -> Vec<Self> {
        let dump = bpftool(&["map", "dump", "id", &map.to_string()]);
        let entries = dump.as_array().expect("the entries of gw_stats");
        let of_cpu = |cpu: &Value| Self::deserialize(&cpu["value"]).expect("the counters by their names");
        let of = |entry: &Value| Self::sum(entry["formatted"]["values"].as_array().into_iter().flatten().map(of_cpu));
        entries.iter().map(of).collect()
    }

    pub(super) fn sum(counts: impl Iterator<Item = Self>) -> Self {
        counts.fold(Self::default(), |sum, more| sum.combine(&more, |a, b| a + b))
    }
}

/// The sums of every counter of the map with this id.
pub(super) fn events(map: u64) -> Value {
    let dump = bpftool(&["map", "dump", "id", &map.to_string()]);
    let mut sums = serde_json::Map::new();
    for cpu in dump[0]["formatted"]["values"].as_array().expect("one entry for each CPU") {
        for (name, count) in cpu["value"].as_object().expect("counters by name") {
            let before = sums.get(name).and_then(Value::as_u64).unwrap_or(0);
            sums.insert(name.clone(), (before + count.as_u64().unwrap_or(0)).into());
        }
    }
    Value::Object(sums)
}

/// The JSON it prints.
pub(crate) fn bpftool(arguments: &[&str]) -> Value {
    let output = Command::new("bpftool").arg("-j").args(arguments).output().expect("bpftool is installed");
    assert!(output.status.success(), "bpftool {arguments:?}: {}", String::from_utf8_lossy(&output.stdout));
    if output.stdout.is_empty() { Value::Null } else { serde_json::from_slice(&output.stdout).expect("bpftool's JSON") }
}

/// Runs one command of bpftool a line, in one process: thousands a second.
pub(crate) fn batch(lines: impl Iterator<Item = String>) {
    let mut child = Command::new("bpftool")
        .args(["batch", "file", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("bpftool is installed");
    let mut input = child.stdin.take().expect("piped");
    for line in lines {
        writeln!(input, "{line}").expect("bpftool reads");
    }
    drop(input);
    assert!(child.wait().expect("bpftool ends").success(), "bpftool refused a line");
}
