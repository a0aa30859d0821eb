//! Load from a caller's pod: a program in it sends, this side starts it, ends it and reads its report.

use super::{World, world::caller_name};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    process::{Child, ChildStdout, Stdio},
};

/// How much of it.
#[derive(Clone, Copy, Debug)]
pub struct LoadOptions {
    /// Requests a second, over all connections.
    pub rate: u32,
    pub connections: u32,
    /// A new connection for every request.
    pub new_connections: bool,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self { rate: 500, connections: 10, new_connections: false }
    }
}

/// Requests that go on until [`Load::stop`]. Dropped, it ends too: its standard input does.
#[derive(Debug)]
pub struct Load {
    kubectl: Child,
    lines: BufReader<ChildStdout>,
    name: String,
}

/// What the requests came to.
#[derive(Clone, Debug)]
pub struct Report {
    pub sent: u64,
    pub failed: u64,
    /// Requests sent again because the connection had been closed while it was idle.
    pub asked_again: u64,
    /// The longest anybody waited for an answer.
    pub slowest_ms: u64,
    /// Answers by the pod that gave them.
    pub by_pod: BTreeMap<String, u64>,
    /// When, in Unix milliseconds, and why: the first failures.
    pub failures: Vec<(u64, String)>,
    name: String,
}

impl Load {
    /// From the caller on `node` through the gateway; returns once every connection has had an answer. The access log
    /// knows its requests by `user_agent`.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(world: &World, node: &str, user_agent: &str, options: LoadOptions) -> Self {
        let (rate, connections) = (options.rate.to_string(), options.connections.to_string());
        let mut command = world.cluster.command();
        command.args(["-n", &world.namespace, "exec", "--stdin", &caller_name(node), "--", "load"]);
        command.args(["--rate", &rate, "--connections", &connections, "--user-agent", user_agent]);
        if options.new_connections {
            command.arg("--new-connections");
        }
        let mut kubectl = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("kubectl");
        let lines = BufReader::new(kubectl.stdout.take().expect("a pipe"));
        let mut load = Self { kubectl, lines, name: format!("{user_agent} on {node}") };
        let flowing = load.line();
        assert_eq!(flowing, Value::from("flowing"), "{}", load.name);
        load
    }

    fn line(&mut self) -> Value {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("what the load prints");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{}: {error}: {line:?}", self.name))
    }

    /// Ends it.
    ///
    /// # Panics
    /// When it has ended by itself or reports nothing.
    pub fn stop(mut self) -> Report {
        drop(self.kubectl.stdin.take());
        let report = self.line();
        let number = |value: &Value| value.as_u64().expect("a number");
        let by_pod = report["by_pod"].as_object().expect("an object");
        let failures = report["failures"].as_array().expect("a list");
        Report {
            sent: number(&report["sent"]),
            failed: number(&report["failed"]),
            asked_again: number(&report["asked_again"]),
            slowest_ms: number(&report["slowest_ms"]),
            by_pod: by_pod.iter().map(|(pod, count)| (pod.clone(), number(count))).collect(),
            failures: failures.iter().map(|one| (number(&one["at_ms"]), super::text(&one["error"]))).collect(),
            name: self.name.clone(),
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        drop(self.kubectl.stdin.take());
        // The program ends with its input, and kubectl with the program; whichever does not is not waited for.
        if self.kubectl.try_wait().ok().flatten().is_none() {
            let _ = self.kubectl.kill();
        }
        let _ = self.kubectl.wait();
    }
}

impl Report {
    /// # Panics
    /// When a request failed, or there were fewer than `least`, which would say nothing.
    pub fn assert_without_failure(&self, least: u64) {
        let Self { name, sent, failed, asked_again, slowest_ms, .. } = self;
        println!("{name}: {sent} sent, {failed} failed, {asked_again} asked again, the slowest took {slowest_ms} ms");
        let (sent, failed) = (self.sent, self.failed);
        assert!(failed == 0, "{}: {failed} of {sent} requests failed: {:?}", self.name, self.failures);
        assert!(sent >= least, "{}: only {sent} requests, too few to say anything", self.name);
    }
}
