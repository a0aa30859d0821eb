//! A histogram that costs a search and two additions to write, without a lock.

use prometheus_client::encoding::{MetricEncoder, NoLabelSet};
use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

/// Counts by upper bound. Values are given in thousandths, so that their sum is an integer.
#[derive(Debug)]
pub(super) struct Histogram<const N: usize> {
    bounds: &'static [f64; N],
    /// Each bucket alone, not summed up.
    counts: [AtomicU64; N],
    /// Beyond every bound.
    above: AtomicU64,
    sum_thousandths: AtomicU64,
}

impl<const N: usize> Histogram<N> {
    /// `bounds` must rise.
    pub(super) fn new(bounds: &'static [f64; N]) -> Self {
        debug_assert!(bounds.is_sorted(), "bounds of a histogram must rise");
        Self {
            bounds,
            counts: [const { AtomicU64::new(0) }; N],
            above: AtomicU64::new(0),
            sum_thousandths: AtomicU64::new(0),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "no duration or size comes near 2^53 thousandths")]
    pub(super) fn observe(&self, thousandths: u64) {
        let value = thousandths as f64 / 1000.;
        let bucket = self.bounds.iter().zip(&self.counts).find(|(bound, _)| value <= **bound);
        bucket.map_or(&self.above, |(_, count)| count).fetch_add(1, Ordering::Relaxed);
        self.sum_thousandths.fetch_add(thousandths, Ordering::Relaxed);
    }

    #[expect(clippy::cast_precision_loss, reason = "Prometheus knows only floats")]
    pub(super) fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let above = self.above.load(Ordering::Relaxed);
        let buckets: Vec<(f64, u64)> = self
            .bounds
            .iter()
            .zip(&self.counts)
            .map(|(bound, count)| (*bound, count.load(Ordering::Relaxed)))
            .chain([(f64::INFINITY, above)])
            .collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = self.sum_thousandths.load(Ordering::Relaxed) as f64 / 1000.;
        encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }
}
