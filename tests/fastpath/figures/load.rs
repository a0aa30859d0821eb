//! A closed loop: as many requests as a contender can serve.

use super::stage::Contender;
use crate::world::World;
use std::{fs, process::Command};

/// One round of one contender.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    /// Requests a second.
    pub(super) rate: f64,
    /// CPU seconds per 1,000 requests: of the whole machine, and of the contender's process.
    pub(super) machine: f64,
    pub(super) process: f64,
}

/// Runs wrk.
///
/// # Panics
/// When an answer is missing or is no 200.
pub(super) fn wrk(world: &World, contender: &Contender, path: &str, connections: usize, seconds: usize) -> Sample {
    let group = if contender.outside { world.cgroup.outside().to_owned() } else { world.cgroup.peers() };
    let url = format!("http://{}/pod/{path}", contender.address);
    let script = r#"echo $$ > "$0/cgroup.procs" && exec taskset -c 0 wrk "$@""#;
    let (threads, connections, time) = ("-t1", format!("-c{connections}"), format!("-d{seconds}"));
    let before = (machine_seconds(), contender.process.map_or(0.0, process_seconds));
    let output = world.caller.enter(|| {
        Command::new("bash").args(["-c", script]).arg(&group).args([threads, &connections, &time, &url]).output()
    });
    let after = (machine_seconds(), contender.process.map_or(0.0, process_seconds));
    let text = String::from_utf8_lossy(&output.expect("wrk").stdout).into_owned();
    assert!(!text.contains("Non-2xx") && !text.contains("Socket errors"), "{}: {text}", contender.name);
    let number =
        |line: Option<&str>| line.and_then(|word| word.trim().parse::<f64>().ok()).unwrap_or_else(|| panic!("{text}"));
    let requests = number(text.lines().find_map(|line| line.split_once(" requests in ")).map(|(count, _)| count));
    let rate = number(text.lines().find_map(|line| line.strip_prefix("Requests/sec:")));
    let per_thousand = |seconds: f64| seconds * 1000.0 / requests;
    Sample { rate, machine: per_thousand(after.0 - before.0), process: per_thousand(after.1 - before.1) }
}

const TICKS_A_SECOND: f64 = 100.0;

/// CPU time that the machine was not idle.
fn machine_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/stat").expect("/proc/stat");
    let ticks: Vec<f64> =
        stat.lines().next().expect("the sum").split_whitespace().skip(1).filter_map(|word| word.parse().ok()).collect();
    // user nice system idle iowait irq softirq steal
    (ticks[0] + ticks[1] + ticks[2] + ticks[5] + ticks[6]) / TICKS_A_SECOND
}

fn process_seconds(process: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).expect("a running contender");
    let after_name = stat.rsplit_once(')').expect("a name").1;
    let fields: Vec<f64> = after_name.split_whitespace().map(|word| word.parse().unwrap_or(0.0)).collect();
    (fields[11] + fields[12]) / TICKS_A_SECOND
}
