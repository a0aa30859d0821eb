//! The median of many tries: what the machine does besides makes some of them longer and none shorter.

use std::time::Instant;

/// Seconds of the median of `tries` runs of `work`, after one that warms up. What `prepare` makes is not timed, nor is
/// what `work` returns dropped within the time.
pub(crate) fn median<I, O>(tries: usize, mut prepare: impl FnMut() -> I, mut work: impl FnMut(I) -> O) -> f64 {
    work(prepare());
    let mut seconds: Vec<f64> = (0..tries)
        .map(|_| {
            let input = prepare();
            let started = Instant::now();
            let output = work(input);
            let took = started.elapsed().as_secs_f64();
            drop(output);
            took
        })
        .collect();
    seconds.sort_by(f64::total_cmp);
    seconds[tries / 2]
}
