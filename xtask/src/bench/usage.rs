//! What a program and the machine have used, as the kernel counts it.

use anyhow::Context;
use std::fs;

/// `sysconf(_SC_CLK_TCK)` is 100 on every Linux that Rust's standard library runs on.
const TICKS_A_SECOND: f64 = 100.0;

/// CPU seconds at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cpu {
    /// All the time in which a CPU was not idle, whoever used it: what the kernel does for a redirect it does in the
    /// context of the caller or the pod.
    pub(super) machine: f64,
    /// The same of the CPU on which who is measured runs alone, in the pinned setting.
    pub(super) device: f64,
    /// Of one process, or 0 where there is none.
    pub(super) process: f64,
    /// What of it the kernel took.
    pub(super) kernel: f64,
}

impl Cpu {
    pub(super) fn now(process: Option<u32>) -> anyhow::Result<Self> {
        let (user, kernel) = process.map_or(Ok((0.0, 0.0)), of_process)?;
        let stat = fs::read_to_string("/proc/stat").context("read /proc/stat")?;
        let [machine, device] = ["cpu", "cpu1"].map(|name| busy(&stat, name));
        Ok(Self { machine: machine?, device: device?, process: user + kernel, kernel })
    }
}

/// Seconds in which the CPU of that name, or all of them, were not idle.
fn busy(stat: &str, name: &str) -> anyhow::Result<f64> {
    let mut lines = stat.lines().map(|line| line.split_whitespace());
    let line = lines.find_map(|mut words| (words.next() == Some(name)).then_some(words));
    let line = line.with_context(|| format!("/proc/stat says nothing of {name}"))?;
    let ticks: Vec<f64> = line.filter_map(|word| word.parse().ok()).collect();
    // user nice system idle iowait irq softirq steal
    let busy = [0, 1, 2, 5, 6].map(|index| ticks.get(index).copied().unwrap_or(0.0)).iter().sum::<f64>();
    Ok(busy / TICKS_A_SECOND)
}

/// In user space and in the kernel.
fn of_process(process: u32) -> anyhow::Result<(f64, f64)> {
    let path = format!("/proc/{process}/stat");
    let stat = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    let after_name = stat.rsplit_once(')').with_context(|| format!("{path} has no name"))?.1;
    let fields: Vec<f64> = after_name.split_whitespace().map(|word| word.parse().unwrap_or(0.0)).collect();
    let [user, kernel] = [11, 12].map(|index| fields.get(index).copied().unwrap_or(0.0) / TICKS_A_SECOND);
    Ok((user, kernel))
}

/// Seconds in which the threads of a process ran, to the nanosecond: the ticks of /proc/PID/stat say nothing of one that
/// hardly does anything. A thread that ends takes its time with it.
pub(super) fn of_threads(process: u32) -> anyhow::Result<f64> {
    let tasks = format!("/proc/{process}/task");
    let mut nanoseconds = 0.0;
    for task in fs::read_dir(&tasks).with_context(|| format!("read {tasks}"))? {
        let path = task.with_context(|| format!("read {tasks}"))?.path().join("schedstat");
        let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        let ran = text.split_whitespace().next().and_then(|word| word.parse::<f64>().ok());
        nanoseconds += ran.with_context(|| format!("{} has no number", path.display()))?;
    }
    Ok(nanoseconds / 1e9)
}

/// Proportional set size of a process in MiB: what is shared with others counts in part.
pub(super) fn pss(process: u32) -> anyhow::Result<f64> {
    let path = format!("/proc/{process}/smaps_rollup");
    let text = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").trim().parse::<f64>().ok());
    Ok(kilobytes.with_context(|| format!("{path} says no Pss"))? / 1024.0)
}
