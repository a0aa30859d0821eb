//! The endpoints of one level, and draws among them.

use super::{Host, unit};
use crate::{
    balance::{
        levels::{Health, Layout},
        maglev::Maglev,
        ring::Ring,
    },
    model::traffic_policy::HashTable,
};
use std::{net::SocketAddr, ops::Range, sync::OnceLock};

/// So many draws before all endpoints are looked through for a usable one.
const DRAWS: usize = 5;

#[derive(Debug)]
pub(super) struct Level {
    pub(super) whole: Part,
    /// Endpoints that are known not to be ready.
    absent: u32,
    /// With their weights, where they are chosen before endpoints; else empty.
    areas: Vec<(Part, u32, f64)>,
    /// Built for the first request: most clusters of a table are idle.
    table: OnceLock<Table>,
}

/// Endpoints that stand side by side.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) hosts: Range<usize>,
    /// Whether all have the same weight.
    pub(super) is_uniform: bool,
}

/// Where hashes lead among the endpoints of one level.
#[derive(Debug)]
pub(super) struct Table {
    order: Order,
    /// The index of the level's first endpoint.
    first: usize,
}

#[derive(Debug)]
enum Order {
    Ring(Ring),
    Maglev(Maglev),
}

impl Level {
    /// `hosts` in levels, of which there is always one.
    pub(super) fn all(layout: &Layout, hosts: &[Host]) -> Vec<Self> {
        let mut next = 0;
        let mut levels: Vec<Self> = Vec::with_capacity(layout.levels.len().max(1));
        for areas in &layout.levels {
            let start = next;
            let mut parts = Vec::new();
            for area in areas {
                let end = (next + area.endpoints).min(hosts.len());
                parts.push((Part::new(next..end, hosts), area.absent, f64::from(area.weight)));
                next = end;
            }
            let absent = areas.iter().map(|area| area.absent).sum();
            let areas = if layout.by_area && parts.len() > 1 { parts } else { Vec::new() };
            levels.push(Self { whole: Part::new(start..next, hosts), absent, areas, table: OnceLock::new() });
        }
        if levels.is_empty() {
            let whole = Part::new(0..hosts.len(), hosts);
            levels.push(Self { whole, absent: 0, areas: Vec::new(), table: OnceLock::new() });
        }
        levels
    }

    /// How many endpoints it would have if all were ready.
    pub(super) fn total(&self) -> u32 {
        count(self.whole.hosts.len()).saturating_add(self.absent)
    }

    /// Without those that are ejected, if `counts_ejected`.
    pub(super) fn health(&self, hosts: &[Host], counts_ejected: bool) -> Health {
        self.whole.health(hosts, self.absent, counts_ejected)
    }

    /// One of its areas, by weight and by how many of its endpoints are healthy; `None` where areas make no difference.
    pub(super) fn area(&self, hosts: &[Host], counts_ejected: bool, random: &mut impl FnMut() -> u64) -> Option<&Part> {
        if self.areas.is_empty() {
            return None;
        }
        let worth =
            |(part, absent, weight): &(Part, u32, f64)| weight * part.health(hosts, *absent, counts_ejected).worth();
        let total: f64 = self.areas.iter().map(worth).sum();
        let mut left = unit(random()) * total;
        let mut last = None;
        for area in &self.areas {
            let worth = worth(area);
            if worth > 0.0 {
                last = Some(&area.0);
                if left < worth {
                    break;
                }
                left -= worth;
            }
        }
        last
    }

    /// Where hashes lead; `None` without endpoints. With areas an endpoint has its share of its area's
    /// (`normalizeLocalityWeights` in Envoy's thread_aware_lb_impl.cc).
    pub(super) fn table(&self, hosts: &[Host], table: HashTable) -> Option<&Table> {
        if self.whole.hosts.is_empty() {
            return None;
        }
        Some(self.table.get_or_init(|| {
            let mut shares = Vec::with_capacity(self.whole.hosts.len());
            if self.areas.is_empty() {
                self.whole.shares(hosts, 1.0, &mut shares);
            } else {
                let total: f64 = self.areas.iter().map(|(_, _, weight)| weight).sum();
                self.areas.iter().for_each(|(part, _, weight)| part.shares(hosts, weight / total, &mut shares));
            }
            let order = match table {
                HashTable::Ring { minimum_size } => Order::Ring(Ring::new(&shares, minimum_size)),
                HashTable::Maglev { size } => Order::Maglev(Maglev::new(&shares, size)),
            };
            Table { order, first: self.whole.hosts.start }
        }))
    }
}

impl Table {
    /// The first usable endpoint from the place of `hash` on.
    pub(super) fn find(&self, hash: u64, usable: impl Fn(usize) -> bool) -> Option<usize> {
        let index = |place: u32| self.first + place as usize;
        let usable = |index: &usize| usable(*index);
        match &self.order {
            Order::Ring(ring) => ring.walk(hash).map(index).find(usable),
            Order::Maglev(maglev) => maglev.walk(hash).map(index).find(usable),
        }
    }
}

impl Part {
    fn new(hosts: Range<usize>, all: &[Host]) -> Self {
        let is_uniform = all[hosts.clone()].windows(2).all(|pair| pair[0].weight == pair[1].weight);
        Self { hosts, is_uniform }
    }

    fn health(&self, hosts: &[Host], absent: u32, counts_ejected: bool) -> Health {
        let here = &hosts[self.hosts.clone()];
        let is_out = |host: &&Host| counts_ejected && host.state.is_ejected();
        let out = here.iter().filter(is_out).count();
        Health { healthy: count(here.len() - out), total: count(here.len()).saturating_add(absent) }
    }

    /// Adds the address and share of each endpoint, which together have `whole`.
    fn shares(&self, hosts: &[Host], whole: f64, shares: &mut Vec<(SocketAddr, f64)>) {
        let here = &hosts[self.hosts.clone()];
        let total: f64 = here.iter().map(|host| f64::from(host.weight)).sum();
        shares.extend(here.iter().map(|host| (host.endpoint.address, whole * f64::from(host.weight) / total)));
    }

    /// A usable endpoint, each with the same probability.
    pub(super) fn draw(&self, random: u64, usable: impl Fn(usize) -> bool) -> Option<usize> {
        let (start, count) = (self.hosts.start, self.hosts.len());
        if count == 0 {
            return None;
        }
        // SplitMix64 makes as many numbers of one as are needed.
        let mut state = random;
        let mut index = start;
        for _ in 0..DRAWS {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            index = start + scale(z ^ (z >> 31), count);
            if usable(index) {
                return Some(index);
            }
        }
        // Few are usable: count them, so that whoever stands behind many that are not gets no more than the others.
        let usable_count = self.hosts.clone().filter(|index| usable(*index)).count();
        let nth = scale(state ^ index as u64, usable_count.max(1));
        self.hosts.clone().filter(|index| usable(*index)).nth(nth)
    }

    /// The endpoint at `point`, from 0 to 1, of the sum of weights.
    pub(super) fn weighted(&self, point: f64, weight: impl Fn(usize) -> f64) -> Option<usize> {
        let total: f64 = self.hosts.clone().map(&weight).sum();
        let mut left = point * total;
        let mut last = None;
        for index in self.hosts.clone() {
            let weight = weight(index);
            if weight > 0.0 {
                last = Some(index);
                if left < weight {
                    break;
                }
                left -= weight;
            }
        }
        last
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Maps a uniform number to `0..count`.
fn scale(random: u64, count: usize) -> usize {
    usize::try_from((u128::from(random) * count as u128) >> 64).unwrap_or(0)
}
