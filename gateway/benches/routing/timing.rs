//! The median of many tries, in time of the processor: what else runs on the machine takes nothing from it.

use nix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// Seconds of this thread's CPU time in the median of `tries` runs of `work`, after one that warms up. What `prepare` makes
/// is not counted, nor is what `work` returns dropped within the time.
pub(crate) fn median<I, O>(tries: usize, mut prepare: impl FnMut() -> I, mut work: impl FnMut(I) -> O) -> f64 {
    work(prepare());
    let mut seconds: Vec<f64> = (0..tries)
        .map(|_| {
            let input = prepare();
            let began = now();
            let output = work(input);
            let took = now() - began;
            drop(output);
            took.as_secs_f64()
        })
        .collect();
    seconds.sort_by(f64::total_cmp);
    seconds[tries / 2]
}

fn now() -> Duration {
    Duration::from(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("Linux counts the time of threads"))
}
