//! One worker's part of a gauge that all of them share.

use prometheus_client::metrics::gauge::Gauge;

/// What one worker adds to the gauge; taken away when the value is dropped.
#[derive(Debug)]
pub(crate) struct Part {
    gauge: Gauge,
    own: i64,
}

impl Part {
    /// Nothing so far.
    pub(super) fn of(gauge: Gauge) -> Self {
        Self { gauge, own: 0 }
    }

    /// From now on the part is `count`.
    pub(crate) fn set(&mut self, count: usize) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.gauge.inc_by(count - self.own);
        self.own = count;
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.gauge.dec_by(self.own);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_add_up_while_they_last() {
        let gauge = Gauge::default();
        let (mut one, mut other) = (Part::of(gauge.clone()), Part::of(gauge.clone()));
        one.set(3);
        other.set(4);
        one.set(1);
        assert_eq!(gauge.get(), 5);
        drop(other);
        assert_eq!(gauge.get(), 1);
    }
}
