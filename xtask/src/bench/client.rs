//! Our own client: what it is told, and what it says.

use super::{
    cells::Bench,
    place::Side,
    program::{Cpu, confined},
};
use anyhow::{Context, bail, ensure};
use serde_json::Value;
use std::process::{Command, Stdio};

/// What the pods answer to `/v1/small`, with its length.
pub(super) const SMALL: [&str; 2] = ["/v1/small=v1/70", "/v2/small=v2/70"];

/// One run of the client.
#[derive(Clone, Debug)]
pub(super) struct Run<'a> {
    /// `open`, `closed`, `idle` or, over TLS, `idle --tls`.
    pub(super) mode: &'a str,
    pub(super) address: &'a str,
    pub(super) expected: Vec<String>,
    pub(super) connections: u32,
    pub(super) seconds: f64,
    /// Requests a second, of `open`.
    pub(super) rate: Option<u32>,
    pub(super) side: Side,
    pub(super) cpu: Cpu,
}

impl Run<'_> {
    /// To be started within the caller's namespace.
    pub(super) fn command(&self, bench: &Bench<'_>) -> Command {
        let cgroup = self.side.cgroup(bench.place);
        let mut command = confined(&bench.tools.client, self.cpu, cgroup.as_deref());
        command.args(self.mode.split(' ')).args(["--address", self.address]);
        command.args(["--connections", &self.connections.to_string(), "--seconds", &self.seconds.to_string()]);
        for expected in &self.expected {
            command.args(["--expect", expected]);
        }
        if let Some(rate) = self.rate {
            command.args(["--rate", &rate.to_string()]);
        }
        command.stdin(Stdio::null());
        command
    }

    /// Runs it to its end and returns its report.
    ///
    /// # Errors
    /// When an answer is missing, or one is wrong: then no figure is worth anything.
    pub(super) fn report(&self, bench: &Bench<'_>) -> anyhow::Result<Value> {
        let report = self.report_with_wrong(bench)?;
        if report["wrong"].as_u64() != Some(0) {
            bail!("{} of {} answers are wrong, such as {}", report["wrong"], report["requests"], report["example"]);
        }
        Ok(report)
    }

    /// The same, where wrong answers are what is counted.
    pub(super) fn report_with_wrong(&self, bench: &Bench<'_>) -> anyhow::Result<Value> {
        let mut command = self.command(bench);
        let output = bench.place.caller.enter(|| command.output().context("run the client"))?;
        ensure!(output.status.success(), "the client: {}", String::from_utf8_lossy(&output.stderr).trim());
        serde_json::from_slice(&output.stdout).context("the client's report is no JSON")
    }
}
