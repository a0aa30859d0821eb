//! Closed loops: as many requests as a contender can serve.

use super::{
    contender::{Contender, Entrance},
    place::Place,
    program::confined,
    stage::{Setting, Stage},
    usage::Cpu,
};
use anyhow::{Context, ensure};
use std::{path::Path, process::Command};

/// What to ask for.
#[derive(Clone, Debug)]
pub(super) struct Load {
    pub(super) entrance: Entrance,
    pub(super) connections: u32,
    pub(super) path: String,
    pub(super) connection: Connection,
    pub(super) seconds: u32,
    /// A Lua script that makes wrk's requests.
    pub(super) script: Option<String>,
}

/// How long a connection lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Connection {
    Kept,
    /// For one request.
    New,
}

/// One turn of one contender.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    /// Requests a second.
    pub(super) rate: f64,
    /// Milliseconds of CPU per 1,000 requests: of the whole machine, of the contender's CPU, and of its process.
    pub(super) machine: f64,
    pub(super) device: f64,
    pub(super) process: f64,
    /// What of the process's the kernel took.
    pub(super) kernel: f64,
}

impl Load {
    /// HTTP/1.1 with kept connections.
    pub(super) fn plain(path: &str, connections: u32, seconds: u32) -> Self {
        let (entrance, connection) = (Entrance::Http1, Connection::Kept);
        Self { entrance, connections, path: path.to_owned(), connection, seconds, script: None }
    }

    /// Runs it against `contender`.
    ///
    /// # Errors
    /// When an answer is missing or is no 200: a figure with failures in it is none.
    pub(super) fn run(&self, stage: &Stage<'_>, contender: &Contender) -> anyhow::Result<Sample> {
        let address = contender.address_for(self.entrance, &self.path).context("it does not speak this")?;
        self.run_at(stage.place, stage.setting, contender, &address)
    }

    /// The same, for one that listens elsewhere than contenders do.
    pub(super) fn run_at(
        &self,
        place: &Place,
        setting: Setting,
        contender: &Contender,
        address: &str,
    ) -> anyhow::Result<Sample> {
        let is_http2 = matches!(self.entrance, Entrance::Http2 | Entrance::Http2Both);
        let scheme = if self.entrance == Entrance::Tls { "https" } else { "http" };
        let url = format!("{scheme}://{address}{}", self.path);
        let program = if is_http2 { "h2load" } else { "wrk" };
        let cgroup = contender.side.cgroup(place);
        let mut command = confined(Path::new(program), setting.load(), cgroup.as_deref());
        let threads = setting.workers().min(self.connections);
        if is_http2 {
            self.h2load(&mut command, threads);
        } else {
            self.wrk(&mut command, threads);
        }
        command.arg(&url);
        let before = Cpu::now(contender.process)?;
        let output = place.caller.enter(|| command.output().with_context(|| format!("run {program}")))?;
        let after = Cpu::now(contender.process)?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr).trim());
        let (requests, rate) = if is_http2 { h2load_says(&text)? } else { wrk_says(&text)? };
        let per_thousand = |seconds: f64| seconds * 1e6 / requests;
        Ok(Sample {
            rate,
            machine: per_thousand(after.machine - before.machine),
            device: per_thousand(after.device - before.device),
            process: per_thousand(after.process - before.process),
            kernel: per_thousand(after.kernel - before.kernel),
        })
    }

    fn wrk(&self, command: &mut Command, threads: u32) {
        command.args([format!("-t{threads}"), format!("-c{}", self.connections), format!("-d{}", self.seconds)]);
        command.args(["--timeout", "10"]);
        if let Some(script) = &self.script {
            command.args(["-s", script]);
        }
        if self.connection == Connection::New {
            command.args(["-H", "Connection: close"]);
        }
    }

    /// 32 streams a connection, as the table asks for.
    fn h2load(&self, command: &mut Command, threads: u32) {
        command.args([format!("-t{threads}"), format!("-c{}", self.connections), format!("-D{}", self.seconds)]);
        command.args(["-m", "32"]);
    }
}

/// Requests and requests a second.
fn wrk_says(text: &str) -> anyhow::Result<(f64, f64)> {
    ensure!(!text.contains("Non-2xx"), "some answers are no 200: {}", line_with(text, "Non-2xx"));
    ensure!(!text.contains("Socket errors"), "some answers are missing: {}", line_with(text, "Socket errors"));
    let requests = line_with(text, " requests in ").split_whitespace().next().and_then(|word| word.parse().ok());
    let rate = line_with(text, "Requests/sec:").split_whitespace().nth(1).and_then(|word| word.parse().ok());
    let (requests, rate): (f64, f64) = requests.zip(rate).with_context(|| format!("wrk says {text:?}"))?;
    ensure!(requests > 0.0, "not one request was answered");
    Ok((requests, rate))
}

fn h2load_says(text: &str) -> anyhow::Result<(f64, f64)> {
    let rate = line_with(text, "finished in").split(", ").find_map(|part| part.strip_suffix(" req/s")?.parse().ok());
    // requests: 100 total, 100 started, 100 done, 100 succeeded, 0 failed, 0 errored, 0 timeout
    let counts = line_with(text, "requests: ");
    let count = |what: &str| -> Option<f64> {
        counts
            .trim_start_matches("requests: ")
            .split(", ")
            .find_map(|part| part.strip_suffix(what)?.trim().parse().ok())
    };
    let (succeeded, failed) =
        count("succeeded").zip(count("failed")).with_context(|| format!("h2load says {text:?}"))?;
    ensure!(failed == 0.0 && succeeded > 0.0, "some answers are missing: {counts}");
    let codes = line_with(text, "status codes: ");
    ensure!(codes.contains("0 3xx, 0 4xx, 0 5xx"), "some answers are no 200: {codes}");
    Ok((succeeded, rate.with_context(|| format!("h2load says {text:?}"))?))
}

fn line_with<'a>(text: &'a str, word: &str) -> &'a str {
    text.lines().find(|line| line.contains(word)).unwrap_or_default().trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrk_is_understood() {
        let text = "Running 1s test @ http://a/\n  1 threads and 8 connections\n  51234 requests in 1.00s, 9.9MB read\nRequests/sec:  51200.12\nTransfer/sec:      9.9MB\n";
        assert_eq!(wrk_says(text).ok(), Some((51234.0, 51200.12)));
        assert!(wrk_says(&format!("{text}  Non-2xx or 3xx responses: 3\n")).is_err());
        assert!(wrk_says(&format!("{text}  Socket errors: connect 0, read 1, write 0, timeout 0\n")).is_err());
        assert!(wrk_says("unable to connect").is_err());
    }

    #[test]
    fn h2load_is_understood() {
        let text = "finished in 1.00s, 47312.00 req/s, 5.1MB/s\nrequests: 47312 total, 47824 started, 47312 done, 47312 succeeded, 0 failed, 0 errored, 0 timeout\nstatus codes: 47312 2xx, 0 3xx, 0 4xx, 0 5xx\n";
        assert_eq!(h2load_says(text).ok(), Some((47312.0, 47312.0)));
        assert!(h2load_says(&text.replace("0 failed", "1 failed")).is_err());
        assert!(h2load_says(&text.replace("0 5xx", "9 5xx")).is_err());
    }
}
