//! Levels of endpoints: those of a level get requests as long as enough of them, and of those before, are healthy
//! (source/extensions/load_balancing_policies/common/load_balancer_impl.cc in Envoy).

use smallvec::SmallVec;

/// An endpoint counts as 1.4 healthy ones: with 72 % of them a level still takes all requests.
const OVERPROVISIONING_PERCENT: u64 = 140;

/// How a cluster's endpoints, which stand in this order, fall into levels. Without a level, all are one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// From the first to be used to the last.
    pub levels: Vec<Vec<Area>>,
    /// Whether requests are shared out over the areas of a level by weight, and then over the endpoints of the area.
    pub by_area: bool,
}

/// Endpoints of one level in one locality.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Area {
    pub endpoints: usize,
    /// Further ones, which are known not to be ready.
    pub absent: u32,
    pub weight: u32,
}

/// How many endpoints of a level there are, and how many may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Health {
    pub(super) healthy: u32,
    pub(super) total: u32,
}

impl Health {
    /// Percent of what the level could take, at most 100; 0 without endpoints.
    fn percent(self) -> u32 {
        let percent = u64::from(self.healthy) * OVERPROVISIONING_PERCENT / u64::from(self.total.max(1));
        u32::try_from(percent.min(100)).unwrap_or(100)
    }

    /// The share of its weight that an area is worth (`effectiveLocalityWeight` in upstream_impl.cc).
    pub(super) fn worth(self) -> f64 {
        let share = f64::from(self.healthy) / f64::from(self.total.max(1));
        (share * OVERPROVISIONING_PERCENT as f64 / 100.0).min(1.0)
    }

    fn is_under(self, threshold: u32) -> bool {
        self.total == 0 || u64::from(self.healthy) * 100 < u64::from(threshold) * u64::from(self.total)
    }
}

/// What each level takes of all requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Loads(SmallVec<[Load; 4]>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Load {
    percent: u32,
    /// Too few of the level are healthy: all of them are used.
    panics: bool,
}

impl Loads {
    /// `recalculatePerPriorityState` and `recalculatePerPriorityPanic`; fewer healthy endpoints in a level than `threshold`
    /// percent are too few, unless the levels together can take everything.
    pub(super) fn of(levels: &[Health], threshold: u32) -> Self {
        let all = availability(levels.iter().map(|level| level.percent()));
        if all == 0 && threshold == 0 {
            let first = |index| Load { percent: if index == 0 { 100 } else { 0 }, panics: false };
            return Self((0..levels.len()).map(first).collect());
        }
        let mut loads: SmallVec<[Load; 4]> =
            levels.iter().map(|level| Load { percent: 0, panics: all < 100 && level.is_under(threshold) }).collect();
        if loads.iter().all(|load| load.panics) {
            let total: u64 = levels.iter().map(|level| u64::from(level.total)).sum();
            let shares = levels.iter().map(|level| percent_of(100 * u64::from(level.total), total));
            share_out(&mut loads, shares, |index| levels[index].total > 0);
        } else {
            let shares = levels.iter().map(|level| percent_of(100 * u64::from(level.percent()), u64::from(all)));
            share_out(&mut loads, shares, |index| levels[index].percent() > 0);
        }
        Self(loads)
    }

    /// The same for a retry that leaves out levels (`adjustForAttemptedPriorities` in
    /// source/extensions/retry/priority/previous_priorities); `None` when nothing would be left.
    pub(super) fn without(&self, levels: &[Health], is_left_out: impl Fn(usize) -> bool) -> Option<Self> {
        let percents = levels.iter().enumerate();
        let percents = percents.map(|(index, level)| if is_left_out(index) { 0 } else { level.percent() });
        let percents: SmallVec<[u32; 4]> = percents.collect();
        let all = availability(percents.iter().copied());
        if all == 0 {
            return None;
        }
        let mut loads = self.0.clone();
        let shares = percents.iter().map(|percent| percent_of(100 * u64::from(*percent), u64::from(all)));
        share_out(&mut loads, shares, |index| percents[index] > 0);
        Some(Self(loads))
    }

    /// The level for a request, by a uniform number or the request's hash, and whether all of its endpoints are used
    /// (`choosePriority`).
    pub(super) fn choose(&self, number: u64) -> (usize, bool) {
        let point = u32::try_from(number % 100).unwrap_or(0) + 1;
        let mut sum = 0;
        for (index, load) in self.0.iter().enumerate() {
            sum += load.percent;
            if point <= sum {
                return (index, load.panics);
            }
        }
        (0, false)
    }
}

fn availability(percents: impl Iterator<Item = u32>) -> u32 {
    percents.sum::<u32>().min(100)
}

fn percent_of(part: u64, whole: u64) -> u32 {
    u32::try_from(part / whole.max(1)).unwrap_or(100)
}

/// Gives every level its share, as far as 100 % go; what rounding leaves, to the first that `may_have` it. Where nobody may,
/// since there is no endpoint at all, the first level has everything (`recalculateLoadInTotalPanic`).
fn share_out(loads: &mut [Load], shares: impl Iterator<Item = u32>, may_have: impl Fn(usize) -> bool) {
    let mut left = 100;
    for (load, share) in loads.iter_mut().zip(shares) {
        load.percent = share.min(left);
        left -= load.percent;
    }
    let first = (0..loads.len()).find(|index| may_have(*index)).unwrap_or(0);
    if let Some(first) = loads.get_mut(first) {
        first.percent += left;
    }
}

#[cfg(test)]
mod tests;
