//! How many retries a cluster may have at once for the requests it has (`RetryBudgetImpl` in Envoy's
//! source/common/upstream/resource_manager_impl.h).

use crate::model::traffic_policy::RetryBudget;
use parking_lot::Mutex;
use std::collections::VecDeque;

/// Into so many parts an interval is divided: as finely requests are forgotten.
const PARTS: u64 = 10;

/// How many requests have begun lately. Asked only where a budget has an interval.
#[derive(Debug, Default)]
pub struct Arrivals(Mutex<VecDeque<(u64, u32)>>);

impl Arrivals {
    /// A request has begun at `now`, in milliseconds; `interval` is the budget's.
    pub fn note(&self, now: u64, interval: u64) {
        let part = now / part_length(interval);
        let mut parts = self.0.lock();
        forget(&mut parts, part);
        match parts.back_mut() {
            Some((last, count)) if *last == part => *count = count.saturating_add(1),
            _ => parts.push_back((part, 1)),
        }
    }

    /// How many have begun within `interval` before `now`.
    pub fn within(&self, now: u64, interval: u64) -> u32 {
        let mut parts = self.0.lock();
        forget(&mut parts, now / part_length(interval));
        parts.iter().fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }
}

fn part_length(interval: u64) -> u64 {
    interval.div_ceil(PARTS).max(1)
}

fn forget(parts: &mut VecDeque<(u64, u32)>, now: u64) {
    while parts.front().is_some_and(|(part, _)| part + PARTS <= now) {
        parts.pop_front();
    }
}

/// The most retries at once while `active` requests are on their way or wait, of which, or besides which, `recent` have begun
/// within the budget's interval.
pub fn most_retries(budget: &RetryBudget, active: u32, recent: u32) -> u32 {
    let share = budget.percent / 100.0 * f64::from(active.max(recent));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a float that is converted stops at the ends"
    )]
    let share = share as u32;
    share.max(budget.min_concurrency)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_budget_is_a_share_of_the_requests() {
        let budget = RetryBudget { percent: 20.0, min_concurrency: 3, interval: None };
        for (active, most) in [(0, 3), (15, 3), (19, 3), (20, 4), (25, 5), (1000, 200)] {
            assert_eq!(most_retries(&budget, active, 0), most, "{active} active");
        }
        assert_eq!(most_retries(&budget, 2, 100), 20, "what has begun lately counts");
        assert_eq!(most_retries(&RetryBudget { percent: 0.0, min_concurrency: 1, interval: None }, 1000, 0), 1);
    }

    #[test]
    fn requests_are_forgotten_after_the_interval() {
        let arrivals = Arrivals::default();
        let interval = u64::try_from(Duration::from_millis(100).as_millis()).unwrap();
        (0..10).for_each(|_| arrivals.note(1_000, interval));
        arrivals.note(1_050, interval);
        assert_eq!(arrivals.within(1_050, interval), 11);
        assert_eq!(arrivals.within(1_099, interval), 11);
        assert_eq!(arrivals.within(1_105, interval), 1);
        assert_eq!(arrivals.within(1_300, interval), 0);
    }
}
