//! Peers with whom it came to nothing, said in the log: once, and then how many more there were.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

/// One line for each port and reason in so long: a scan of ports must not fill the disk.
const ONCE_IN: Duration = Duration::from_secs(10);

/// One worker's memory of what it has said.
#[derive(Debug, Default)]
pub(super) struct Refusals(HashMap<(u16, &'static str), Said>);

#[derive(Debug)]
struct Said {
    at: Instant,
    since: u64,
}

impl Refusals {
    /// Notes a failure on `port` at `now`. Returns how many were not spoken of since the last line, if it is time for one.
    pub(super) fn note(&mut self, port: u16, reason: &'static str, now: Instant) -> Option<u64> {
        match self.0.get_mut(&(port, reason)) {
            Some(said) if now.duration_since(said.at) < ONCE_IN => {
                said.since += 1;
                None
            }
            Some(said) => {
                said.at = now;
                Some(std::mem::take(&mut said.since))
            }
            None => {
                self.0.insert((port, reason), Said { at: now, since: 0 });
                Some(0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_given_once_and_then_counted() {
        let mut refusals = Refusals::default();
        let start = Instant::now();
        assert_eq!(refusals.note(443, "gone", start), Some(0));
        assert_eq!(refusals.note(443, "gone", start + ONCE_IN / 2), None);
        assert_eq!(refusals.note(443, "timeout", start + ONCE_IN / 2), Some(0));
        assert_eq!(refusals.note(8443, "gone", start + ONCE_IN / 2), Some(0));
        assert_eq!(refusals.note(443, "gone", start + ONCE_IN), Some(1));
        assert_eq!(refusals.note(443, "gone", start + ONCE_IN * 2), Some(0));
    }
}
