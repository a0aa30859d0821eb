//! The load in a caller's pod: requests at a steady rate until standard input ends, then a report in JSON.

use anyhow::Context;
use clap::Parser;
use harness::traffic::{Caller, Connections};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    io::{Read, Write, stdin, stdout},
    sync::mpsc::{self, Receiver, RecvTimeoutError, Sender},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// Sends GETs at a steady rate until standard input ends.
#[derive(Parser)]
struct Arguments {
    /// Host and port to connect to.
    #[arg(long, default_value = "istio-ingressgateway.istio-system:80")]
    address: String,
    /// The Host field; the name in --address when left out.
    #[arg(long)]
    host: Option<String>,
    #[arg(long, default_value = "/reviews/0")]
    path: String,
    #[arg(long, default_value = "load")]
    user_agent: String,
    /// Requests a second, over all connections.
    #[arg(long, default_value_t = 100)]
    rate: u32,
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=256))]
    connections: u32,
    /// A new connection for every request.
    #[arg(long)]
    new_connections: bool,
}

/// What a caller's requests came to.
#[derive(Default)]
struct Report {
    sent: u64,
    asked_again: u64,
    by_status: BTreeMap<u16, u64>,
    by_pod: BTreeMap<String, u64>,
    failures: Vec<Value>,
    slowest: Duration,
}

/// More of them say nothing new.
const FAILURES_SHOWN: usize = 200;

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let (answered, first) = mpsc::channel();
    let mut callers = Vec::new();
    for index in 0..arguments.connections {
        let (stop, stopped) = mpsc::channel();
        let pace = Duration::from_secs_f64(f64::from(arguments.connections) / f64::from(arguments.rate.max(1)));
        let begin = pace.mul_f64(f64::from(index) / f64::from(arguments.connections));
        let (caller, answered) = (caller(&arguments), answered.clone());
        callers.push((stop, thread::spawn(move || call(caller, pace, begin, &stopped, &answered))));
    }
    drop(answered);
    // Whoever started this waits for the first line before changing anything.
    for _ in 0..arguments.connections {
        let _ = first.recv();
    }
    say(&json!("flowing"))?;
    stdin().read_to_end(&mut Vec::new()).context("wait for the end of standard input")?;
    let mut total = Report::default();
    for (stop, caller) in callers {
        drop(stop);
        total.add(caller.join().ok().context("a caller panicked")?);
    }
    say(&json!({
        "sent": total.sent,
        "asked_again": total.asked_again,
        "by_status": total.by_status,
        "by_pod": total.by_pod,
        "slowest_ms": u64::try_from(total.slowest.as_millis()).unwrap_or(u64::MAX),
        "failed": total.failures.len(),
        "failures": total.failures.iter().take(FAILURES_SHOWN).collect::<Vec<_>>(),
    }))
}

fn say(line: &Value) -> anyhow::Result<()> {
    writeln!(stdout(), "{line}").context("write to standard output")
}

fn caller(arguments: &Arguments) -> Caller {
    let host = arguments.host.as_deref().unwrap_or_else(|| arguments.address.split(':').next().unwrap_or_default());
    let connections = if arguments.new_connections { Connections::New } else { Connections::Kept };
    Caller::new(&arguments.address, host, &arguments.path, &arguments.user_agent, connections)
}

/// One caller's requests: one every `pace`, the first after `begin`, until `stopped` is cut off.
fn call(mut caller: Caller, pace: Duration, begin: Duration, stopped: &Receiver<()>, answered: &Sender<()>) -> Report {
    let mut report = Report::default();
    let mut due = Instant::now() + begin;
    while stopped.recv_timeout(due.saturating_duration_since(Instant::now())) == Err(RecvTimeoutError::Timeout) {
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let asked = Instant::now();
        let outcome = caller.ask();
        report.slowest = report.slowest.max(asked.elapsed());
        report.sent += 1;
        match outcome {
            Ok(answer) => {
                *report.by_status.entry(answer.status).or_default() += 1;
                if answer.status == 200 {
                    *report.by_pod.entry(pod(&answer.body)).or_default() += 1;
                } else {
                    report.failed(at, &format!("{} {}", answer.status, answer.body));
                }
            }
            Err(error) => report.failed(at, &error.to_string()),
        }
        if report.sent == 1 {
            let _ = answered.send(());
        }
        // What a slow answer has delayed is not made up for: that would be a burst.
        due = (due + pace).max(Instant::now());
    }
    report.asked_again = caller.asked_again();
    report
}

/// The pod that says so in its answer.
fn pod(body: &str) -> String {
    let named = |body: &Value| body.get("podname").and_then(Value::as_str).map(str::to_owned);
    serde_json::from_str(body).ok().as_ref().and_then(named).unwrap_or_default()
}

impl Report {
    fn failed(&mut self, at: Duration, error: &str) {
        self.failures.push(json!({"at_ms": u64::try_from(at.as_millis()).unwrap_or(u64::MAX), "error": error}));
    }

    fn add(&mut self, other: Self) {
        self.sent += other.sent;
        self.asked_again += other.asked_again;
        self.slowest = self.slowest.max(other.slowest);
        for (status, count) in other.by_status {
            *self.by_status.entry(status).or_default() += count;
        }
        for (pod, count) in other.by_pod {
            *self.by_pod.entry(pod).or_default() += count;
        }
        self.failures.extend(other.failures);
    }
}
