//! How long to wait before a watch is tried again. Clock and randomness come from the caller.

use std::time::Duration;

/// The first delay: a dropped connection is usually back at once.
const FIRST: Duration = Duration::from_millis(100);

/// What failed, as far as the delay depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// No answer from the API server. A refused connection costs nobody anything, and the gateway should follow within
    /// two seconds of the server's return.
    Unreachable,
    /// The kind is not there yet.
    UnknownKind,
    /// The credentials are not accepted (401), or there are none that can be used.
    Unauthorized,
    /// The kind may not be read (403). Somebody is about to allow it, and a refusal costs the API server little.
    Forbidden,
    /// The API server refused otherwise (429, 5xx): a busy server is not asked more often than client-go would.
    Refused,
}

impl Failure {
    const fn longest(self) -> Duration {
        match self {
            Self::Unreachable => Duration::from_secs(2),
            Self::UnknownKind | Self::Unauthorized | Self::Forbidden => Duration::from_secs(8),
            Self::Refused => Duration::from_secs(30),
        }
    }
}

/// What is left of the failures when another one takes over: a server that refuses where none answered before is on its
/// way back, and an outage must not have made the gateway slow to follow it.
const CARRIED_OVER: u32 = 2;

/// Delays that double from [`FIRST`] up to the failure's longest one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
    last: Option<Failure>,
}

impl Backoff {
    /// The delay before the next try: between half and all of the current step, chosen by `random` in `0.0..1.0`, so that
    /// the nodes of a cluster do not come back in step.
    pub(super) fn next(&mut self, failure: Failure, random: f64) -> Duration {
        if self.last.replace(failure).is_some_and(|last| last != failure) {
            self.failures = self.failures.min(CARRIED_OVER);
        }
        let step = FIRST.saturating_mul(2u32.saturating_pow(self.failures)).min(failure.longest());
        self.failures = self.failures.saturating_add(1);
        step.mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0)
    }

    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_longest_of_the_failure() {
        let mut backoff = Backoff::default();
        let delays: Vec<u128> = (0..8).map(|_| backoff.next(Failure::Unreachable, 1.0).as_millis()).collect();
        assert_eq!(delays, [100, 200, 400, 800, 1600, 2000, 2000, 2000]);
    }

    /// After a minute without an answer, a starting server says 503 for a moment.
    #[test]
    fn another_failure_begins_low() {
        let mut backoff = Backoff::default();
        for _ in 0..40 {
            let _delay = backoff.next(Failure::Unreachable, 1.0);
        }
        let delays: Vec<u128> = (0..9).map(|_| backoff.next(Failure::Refused, 1.0).as_millis()).collect();
        assert_eq!(delays, [400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000]);
        assert_eq!(backoff.next(Failure::UnknownKind, 1.0).as_millis(), 400);
    }

    #[test]
    fn jitter_takes_away_up_to_half() {
        assert_eq!(Backoff::default().next(Failure::Unreachable, 0.0).as_millis(), 50);
        assert_eq!(Backoff::default().next(Failure::Unreachable, 0.5).as_millis(), 75);
    }

    #[test]
    fn a_success_starts_over_and_a_year_of_failures_does_not_overflow() {
        let mut backoff = Backoff { failures: u32::MAX, last: Some(Failure::Refused) };
        assert_eq!(backoff.next(Failure::Refused, 1.0).as_millis(), 30_000);
        backoff.reset();
        assert_eq!(backoff.next(Failure::Refused, 1.0).as_millis(), 100);
    }
}
