//! When the inputs go to disk: once they have been quiet for a while, and now and then while they are not.

use std::time::{Duration, Instant};

/// A burst of edits or a rollout of pods is written once, at its end.
const QUIET: Duration = Duration::from_secs(5);

/// Endpoints may change without a pause for hours; then the file is never older than this.
const AT_THE_LATEST: Duration = Duration::from_secs(60);

/// Knows no clock: the caller says what time it is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Schedule {
    /// First and last change since the last save.
    unsaved: Option<(Instant, Instant)>,
}

impl Schedule {
    pub(super) fn changed(&mut self, now: Instant) {
        let first = self.unsaved.map_or(now, |(first, _)| first);
        self.unsaved = Some((first, now));
    }

    /// When to save; may be past. `None` while nothing has changed.
    pub(super) fn due(&self) -> Option<Instant> {
        self.unsaved.map(|(first, last)| (last + QUIET).min(first + AT_THE_LATEST))
    }

    pub(super) fn acted(&mut self) {
        self.unsaved = None;
    }

    /// The save that was begun has failed: what is wrong with a disk is rarely over in seconds.
    pub(super) fn failed(&mut self, now: Instant) {
        self.unsaved = Some((now, now + AT_THE_LATEST));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_saved_at_its_end_and_a_stream_once_a_minute() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut schedule = Schedule::default();
        assert_eq!(schedule.due(), None);
        schedule.changed(start);
        schedule.changed(after(3));
        assert_eq!(schedule.due(), Some(after(8)));
        for second in 4..58 {
            schedule.changed(after(second));
        }
        assert_eq!(schedule.due(), Some(after(60)));
        schedule.acted();
        assert_eq!(schedule.due(), None);
        schedule.failed(after(100));
        assert_eq!(schedule.due(), Some(after(160)));
    }
}
