//! Slow start: an endpoint that has just come gets less than its share, and more from second to second
//! (`applySlowStartFactor` in Envoy's source/extensions/load_balancing_policies/common/load_balancer_impl.cc).

use crate::model::traffic_policy::Warmup;

/// By what the weight of an endpoint is multiplied, `age` milliseconds after its coming.
pub(super) fn factor(warmup: &Warmup, age: u64) -> f64 {
    let window = warmup.duration.as_secs_f64();
    // Envoy counts whole seconds, and the first from the beginning.
    let seconds = (age / 1000).max(1) as f64;
    if age as f64 >= window * 1000.0 {
        return 1.0;
    }
    let grown = (seconds / window.max(f64::MIN_POSITIVE)).powf(1.0 / warmup.aggression);
    grown.max(warmup.minimum_percent / 100.0).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn weights_grow_to_the_whole() {
        let linear = Warmup { duration: Duration::from_secs(100), minimum_percent: 10.0, aggression: 1.0 };
        let at = |warmup: &Warmup, seconds: u64| (factor(warmup, seconds * 1000) * 1000.0).round();
        assert_eq!(at(&linear, 0), 100.0, "the least share");
        assert_eq!(at(&linear, 50), 500.0);
        assert_eq!(at(&linear, 100), 1000.0);
        assert_eq!(at(&linear, 10_000), 1000.0);
        let eager = Warmup { aggression: 2.0, ..linear };
        assert_eq!(at(&eager, 25), 500.0);
        assert!((0..100).all(|second| at(&linear, second) <= at(&linear, second + 1)));
    }
}
