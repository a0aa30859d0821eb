//! The median of many tries, in time of the processor: what else runs on the machine takes nothing from it.

#![expect(unsafe_code, reason = "the standard library has no clock of a thread's time")]

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

/// This thread's CPU time.
fn now() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is valid for writes for the duration of the call, and nothing keeps the pointer.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    assert_eq!(result, 0, "Linux counts the time of threads");
    let seconds = u64::try_from(time.tv_sec).expect("time goes forward");
    Duration::new(seconds, u32::try_from(time.tv_nsec).expect("nanoseconds of one second"))
}
