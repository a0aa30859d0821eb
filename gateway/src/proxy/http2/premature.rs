//! Clients that take back what they ask for, again and again (CVE-2023-44487).
//!
//! Each such request costs something, and nothing of it is for anybody. Envoy ends a connection when half of its requests
//! are of that kind, counted from five hundred on (`maybeDrainDueToPrematureResets` in its
//! source/common/http/conn_manager_impl.cc), and so does this.

use std::{cell::Cell, time::Instant};

/// Fewer requests say nothing yet.
const ENOUGH: u64 = 500;

/// Whoever waits for longer has a reason not to wait any more. In seconds, as Envoy counts them: those that are over.
const PATIENT: u64 = 1;

/// How the requests of one connection have ended.
#[derive(Debug, Default)]
pub(super) struct Endings {
    all: Cell<u64>,
    premature: Cell<u64>,
}

impl Endings {
    /// A request that had come at `began` has ended, with an answer or the beginning of one, or without.
    pub(super) fn note(&self, has_answer: bool, began: &Instant) {
        self.all.set(self.all.get() + 1);
        // The time is asked for only where it matters.
        if !has_answer && began.elapsed().as_secs() <= PATIENT {
            self.premature.set(self.premature.get() + 1);
        }
    }

    /// Whether so many have ended without need that the connection is to end. Said as soon as it is certain, whatever may
    /// come until there are enough.
    pub(super) fn are_premature(&self) -> bool {
        2 * self.premature.get() >= self.all.get().max(ENOUGH)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn endings(answered: u64, premature: u64, late: u64) -> bool {
        let endings = Endings::default();
        let now = Instant::now();
        let long_ago = now.checked_sub(Duration::from_secs(2)).expect("two seconds ago");
        (0..answered).for_each(|_| endings.note(true, &now));
        (0..premature).for_each(|_| endings.note(false, &now));
        (0..late).for_each(|_| endings.note(false, &long_ago));
        endings.are_premature()
    }

    #[test]
    fn half_of_many_are_too_many() {
        for (answered, premature, late, is_over) in [
            (0, 0, 0, false),
            (0, 249, 0, false),
            (0, 250, 0, true),
            (249, 250, 0, true),
            (250, 250, 0, true),
            (251, 250, 0, false),
            (10_000, 1000, 0, false),
            (0, 0, 10_000, false),
            (0, 300, 301, false),
        ] {
            assert_eq!(endings(answered, premature, late), is_over, "{answered} {premature} {late}");
        }
    }
}
