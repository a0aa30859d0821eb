//! When to ask for which name. Knows no clock: the caller says what time it is.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

/// An answer is good for its TTL, within these bounds: a TTL of nothing must not keep the task busy, and one of a week must
/// not keep an address that is long gone.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(3600);

/// After a failure a name is asked for again after a second, then after twice as long each time, up to what Istio takes
/// (`dnsRefreshRate` of MeshConfig).
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(60);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    names: BTreeMap<Arc<str>, Planned>,
    /// The names that are not asked for, being too many.
    refused: BTreeSet<Arc<str>>,
}

#[derive(Debug)]
struct Planned {
    /// `None` while it is being asked for.
    due: Option<Instant>,
    /// Failures since the last answer.
    failures: u32,
}

impl Schedule {
    /// Takes over what is wanted: new names are due at once, others are forgotten. Returns the names beyond the first `most`
    /// that were not refused before.
    pub(super) fn want(&mut self, wanted: &BTreeSet<Arc<str>>, most: usize, now: Instant) -> Vec<Arc<str>> {
        self.names.retain(|name, _| wanted.contains(name));
        self.refused.retain(|name| wanted.contains(name));
        let mut refused = Vec::new();
        for name in wanted {
            if self.names.contains_key(name) {
                continue;
            }
            if self.names.len() < most {
                self.refused.remove(name);
                self.names.insert(Arc::clone(name), Planned { due: Some(now), failures: 0 });
            } else if self.refused.insert(Arc::clone(name)) {
                refused.push(Arc::clone(name));
            }
        }
        refused
    }

    /// Whether the name is wanted still.
    pub(super) fn wants(&self, name: &str) -> bool {
        self.names.contains_key(name)
    }

    /// Up to `most` names to be asked for now; they are not due again before they are answered or failed.
    pub(super) fn take_due(&mut self, now: Instant, most: usize) -> Vec<Arc<str>> {
        let mut due: Vec<(Instant, Arc<str>)> =
            self.names.iter().filter_map(|(name, planned)| Some((planned.due?, Arc::clone(name)))).collect();
        due.retain(|(due, _)| *due <= now);
        // The longest overdue first, so that none waits for ever.
        due.sort();
        due.truncate(most);
        for (_, name) in &due {
            if let Some(planned) = self.names.get_mut(name) {
                planned.due = None;
            }
        }
        due.into_iter().map(|(_, name)| name).collect()
    }

    /// When the next name is due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.names.values().filter_map(|planned| planned.due).min()
    }

    /// The answer is good for `valid_for`.
    pub(super) fn answered(&mut self, name: &str, valid_for: Duration, now: Instant) {
        if let Some(planned) = self.names.get_mut(name) {
            *planned = Planned { due: Some(now + valid_for.clamp(SHORTEST, LONGEST)), failures: 0 };
        }
    }

    /// There was no answer.
    pub(super) fn failed(&mut self, name: &str, now: Instant) {
        if let Some(planned) = self.names.get_mut(name) {
            let wait = FIRST_RETRY.saturating_mul(1 << planned.failures.min(16)).min(LAST_RETRY);
            *planned = Planned { due: Some(now + wait), failures: planned.failures + 1 };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> BTreeSet<Arc<str>> {
        names.iter().map(|name| Arc::from(*name)).collect()
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_name_is_asked_for_again_when_its_answer_ends() {
        let start = Instant::now();
        let mut schedule = Schedule::default();
        assert_eq!(schedule.due(), None);
        schedule.want(&names(&["a", "b"]), 10, start);
        assert_eq!(schedule.take_due(start, 10).len(), 2);
        assert_eq!(schedule.due(), None, "both are being asked for");
        schedule.answered("a", seconds(30), start);
        schedule.answered("b", seconds(7), start);
        assert_eq!(schedule.due(), Some(start + seconds(7)));
        assert!(schedule.take_due(start + seconds(6), 10).is_empty());
        assert_eq!(schedule.take_due(start + seconds(7), 10), [Arc::from("b")]);
    }

    #[test]
    fn times_are_bounded() {
        let start = Instant::now();
        let mut schedule = Schedule::default();
        schedule.want(&names(&["a"]), 10, start);
        for (ttl, wait) in [(0, 1), (1, 1), (3600, 3600), (604_800, 3600)] {
            schedule.answered("a", seconds(ttl), start);
            assert_eq!(schedule.due(), Some(start + seconds(wait)), "{ttl}");
        }
        let waits: Vec<u64> = (0..9)
            .map(|_| {
                schedule.failed("a", start);
                schedule.due().map_or(0, |due| (due - start).as_secs())
            })
            .collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        schedule.answered("a", seconds(5), start);
        schedule.failed("a", start);
        assert_eq!(schedule.due(), Some(start + seconds(1)), "an answer ends a row of failures");
    }

    #[test]
    fn too_many_names_are_refused_once() {
        let start = Instant::now();
        let mut schedule = Schedule::default();
        assert_eq!(schedule.want(&names(&["a", "b", "c"]), 2, start), [Arc::from("c")]);
        assert!(schedule.want(&names(&["a", "b", "c"]), 2, start).is_empty());
        assert_eq!(schedule.take_due(start, 1), [Arc::from("a")], "no more than there is room for");
        assert!(schedule.want(&names(&["b", "c"]), 2, start).is_empty());
        assert!(!schedule.wants("a") && schedule.wants("c"), "there is room again");
        schedule.answered("a", seconds(5), start);
        assert!(!schedule.wants("a"), "an answer that comes late is forgotten");
    }
}
