//! When requests are sent: at a steady rate, or as fast as answers come.

use crate::{Target, connection::Connection};
use anyhow::{Context, ensure};
use hdrhistogram::Histogram;
use nix::{
    poll::{PollFd, PollFlags, ppoll},
    sys::{prctl, time::TimeSpec},
};
use serde_json::{Value, json};
use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// After the last request is due: an answer that takes longer is missing.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks at connections on which nothing happens.
const LOOK: Duration = Duration::from_millis(100);

/// Runs for as long as `target` says; `rate` is in requests a second, and as fast as answers come without one.
///
/// # Errors
/// When the contender cannot be reached, ends a connection or leaves a request unanswered.
pub(crate) fn run(target: &Target, rate: Option<u32>) -> anyhow::Result<Value> {
    // The kernel may otherwise wake us 50 µs late, which would count as latency.
    prctl::set_timerslack(1).context("ask for exact timers")?;
    let opened = (0..target.connections).map(|_| Connection::open(target.address));
    let mut connections = opened.collect::<anyhow::Result<Vec<_>>>()?;
    let mut free: Vec<usize> = (0..connections.len()).rev().collect();
    // A nanosecond to a minute, to a thousandth.
    let mut taken = Histogram::<u64>::new_with_bounds(1, 60_000_000_000, 3).context("a histogram")?;
    let (mut wrong, mut number, mut example) = (0_u64, 0_usize, None);
    let start = Instant::now() + Duration::from_millis(5);
    let end = start + Duration::from_secs_f64(target.seconds);
    let period = rate.map(|rate| Duration::from_secs(1) / rate.max(1));
    let (mut next, mut waiting) = (start, VecDeque::new());
    loop {
        let now = Instant::now();
        if let Some(period) = period {
            while next <= now && next < end {
                waiting.push_back(next);
                next += period;
            }
        } else if now < end {
            // Each free connection is due now.
            waiting.extend(free.iter().map(|_| now));
        }
        while let Some(connection) = (!waiting.is_empty()).then(|| free.pop()).flatten() {
            let due = waiting.pop_front().unwrap_or(now);
            connections[connection].send(&target.expected, number % target.expected.len(), due)?;
            number += 1;
        }
        if period.is_none() {
            waiting.clear();
        }
        let is_over = now >= end && waiting.is_empty() && (period.is_none() || next >= end);
        if is_over && free.len() == connections.len() {
            break;
        }
        ensure!(now < end + PATIENCE, "{} requests were never answered", connections.len() - free.len());
        let wake = period.filter(|_| next < end).map_or(LOOK, |_| next.saturating_duration_since(Instant::now()));
        for index in ready(&connections, wake.min(LOOK))? {
            if let Some(answer) = connections[index].poll(&target.expected)? {
                let nanoseconds = u64::try_from(answer.due.elapsed().as_nanos()).unwrap_or(u64::MAX);
                taken.saturating_record(nanoseconds.max(1));
                if let Some(complaint) = answer.complaint {
                    wrong += 1;
                    example.get_or_insert(complaint);
                }
                free.push(index);
            }
        }
    }
    let took = start.elapsed().as_secs_f64();
    let microseconds = |quantile: f64| Duration::from_nanos(taken.value_at_quantile(quantile)).as_secs_f64() * 1e6;
    Ok(json!({
        "requests": number,
        "wrong": wrong,
        "example": example,
        "seconds": took,
        "p50_us": microseconds(0.5),
        "p90_us": microseconds(0.9),
        "p99_us": microseconds(0.99),
        "p999_us": microseconds(0.999),
        "max_us": microseconds(1.0),
    }))
}

/// The connections on which something has happened, at the latest after `limit`.
fn ready(connections: &[Connection], limit: Duration) -> anyhow::Result<Vec<usize>> {
    let mut wanted: Vec<PollFd<'_>> =
        connections.iter().map(|connection| PollFd::new(connection.descriptor(), PollFlags::POLLIN)).collect();
    match ppoll(&mut wanted, Some(TimeSpec::from_duration(limit)), None) {
        Ok(_) | Err(nix::Error::EINTR) => {}
        Err(error) => return Err(error).context("wait for answers"),
    }
    let has_some = |(index, fd): (usize, &PollFd<'_>)| fd.any().unwrap_or(false).then_some(index);
    Ok(wanted.iter().enumerate().filter_map(has_some).collect())
}
