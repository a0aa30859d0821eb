//! When to act on a burst of changes: at once for the first, then at most once an interval.

use std::time::{Duration, Instant};

/// Decides when to act. Knows no clock: the caller says what time it is.
#[derive(Clone, Copy, Debug)]
pub struct Debounce {
    interval: Duration,
    acted: Option<Instant>,
    pending: bool,
}

impl Debounce {
    pub const fn new(interval: Duration) -> Self {
        Self { interval, acted: None, pending: false }
    }

    /// Something has changed.
    pub fn change(&mut self) {
        self.pending = true;
    }

    /// The earliest time to act; may be past. `None` while nothing has changed.
    pub fn due(&self, now: Instant) -> Option<Instant> {
        self.pending.then(|| self.acted.map_or(now, |acted| acted + self.interval))
    }

    /// Whether to act now.
    pub fn is_due(&self, now: Instant) -> bool {
        self.due(now).is_some_and(|due| due <= now)
    }

    /// The caller has acted on everything that has changed so far; acting ended at `now`.
    pub fn acted(&mut self, now: Instant) {
        self.acted = Some(now);
        self.pending = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_millis(5);

    fn after(start: Instant, millis: u64) -> Instant {
        start + Duration::from_millis(millis)
    }

    #[test]
    fn nothing_is_due_without_a_change() {
        let start = Instant::now();
        let mut debounce = Debounce::new(INTERVAL);
        assert_eq!(debounce.due(start), None);
        debounce.change();
        debounce.acted(start);
        assert_eq!(debounce.due(after(start, 60_000)), None);
    }

    #[test]
    fn the_first_change_is_due_at_once() {
        let start = Instant::now();
        let mut debounce = Debounce::new(INTERVAL);
        debounce.change();
        assert!(debounce.is_due(start));
    }

    #[test]
    fn a_change_right_after_waits_for_the_interval() {
        let start = Instant::now();
        let mut debounce = Debounce::new(INTERVAL);
        debounce.change();
        debounce.acted(start);
        debounce.change();
        assert!(!debounce.is_due(after(start, 4)));
        assert_eq!(debounce.due(after(start, 4)), Some(after(start, 5)));
        assert!(debounce.is_due(after(start, 5)));
    }

    #[test]
    fn a_change_after_a_quiet_time_is_due_at_once() {
        let start = Instant::now();
        let mut debounce = Debounce::new(INTERVAL);
        debounce.change();
        debounce.acted(start);
        debounce.change();
        assert!(debounce.is_due(after(start, 1_000)));
    }

    /// A change every millisecond for a second: 200 acts of 5 ms, none closer together, the last one after the last change.
    #[test]
    fn a_stream_of_changes_is_acted_on_once_an_interval() {
        let start = Instant::now();
        let mut debounce = Debounce::new(INTERVAL);
        let mut acts = Vec::new();
        for millis in 0..1_010 {
            let now = after(start, millis);
            if millis < 1_000 {
                debounce.change();
            }
            if debounce.is_due(now) {
                acts.push(millis);
                debounce.acted(now);
            }
        }
        assert!(acts.windows(2).all(|pair| pair[1] - pair[0] >= 5), "{acts:?}");
        assert_eq!(acts.len(), 201);
        assert!(acts.last().is_some_and(|&last| last >= 1_000));
    }
}
