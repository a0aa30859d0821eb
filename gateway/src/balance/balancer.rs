//! How a cluster with a policy, or with endpoints of unequal weight, chooses among its endpoints. A cluster without either
//! uses [`least_request`](super::endpoint::least_request) directly.

mod level;

use super::{
    host::HostState,
    levels::{Health, Layout, Loads},
    memory::ClusterMemory,
    outliers::Observed,
    slow_start,
};
use crate::{
    model::traffic_policy::{Algorithm, LoadBalancer, Warmup},
    routing::cluster::Endpoint,
};
use level::{Level, Part};
use smallvec::SmallVec;
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

/// The endpoints of one version of a cluster, and how they are chosen from.
#[derive(Debug)]
pub struct Balancer {
    settings: LoadBalancer,
    hosts: Vec<Host>,
    /// At least one, which most clusters have.
    levels: Vec<Level>,
    /// What each of several levels takes while nobody is ejected.
    at_rest: Loads,
    memory: Arc<ClusterMemory>,
    /// Some endpoint has not been told yet when it came.
    has_newcomers: AtomicBool,
    /// When the last one came.
    youngest: AtomicU64,
}

#[derive(Debug)]
struct Host {
    endpoint: Arc<Endpoint>,
    weight: u32,
    state: Arc<HostState>,
}

/// One request's choice.
#[derive(Clone, Copy, Debug)]
pub struct Choice<'c> {
    /// Milliseconds of a clock that never goes back and never shows 0.
    pub now: u64,
    /// Of the request, where it has what is to be hashed.
    pub hash: Option<u64>,
    /// Endpoints that have failed this request, which are avoided while there are others.
    pub tried: &'c [SocketAddr],
    /// Endpoints that were tried, whose levels a retry leaves out from the second on (`retryRemoteLocalities`).
    pub left: &'c [SocketAddr],
}

/// Istio's `update_frequency` of `previous_priorities`: after so many attempts their levels are left out.
const LEVEL_CHANGES_AFTER: usize = 2;

impl Balancer {
    /// `endpoints` with their weights, which are at least 1, in the order of `layout`.
    pub fn new(
        settings: LoadBalancer,
        endpoints: &[(Arc<Endpoint>, u32)],
        layout: &Layout,
        memory: Arc<ClusterMemory>,
    ) -> Self {
        let states = memory.set_hosts(endpoints.iter().map(|(endpoint, _)| endpoint.address));
        let hosts: Vec<Host> = endpoints
            .iter()
            .zip(states)
            .map(|((endpoint, weight), state)| Host { endpoint: Arc::clone(endpoint), weight: (*weight).max(1), state })
            .collect();
        let levels = Level::all(layout, &hosts);
        let health: Vec<Health> = levels.iter().map(|level| level.health(&hosts, false)).collect();
        let threshold = memory.outliers.as_ref().map_or(0, |outliers| outliers.settings().min_health_percent);
        let at_rest = Loads::of(&health, threshold);
        let has_newcomers = AtomicBool::new(settings.warmup.is_some());
        Self { settings, hosts, levels, at_rest, memory, has_newcomers, youngest: AtomicU64::new(0) }
    }

    pub fn memory(&self) -> &Arc<ClusterMemory> {
        &self.memory
    }

    pub fn settings(&self) -> &LoadBalancer {
        &self.settings
    }

    /// Whether requests are hashed.
    pub fn hashes(&self) -> bool {
        matches!(self.settings.algorithm, Algorithm::ConsistentHash(_))
    }

    pub fn endpoint(&self, index: usize) -> Option<&Arc<Endpoint>> {
        self.hosts.get(index).map(|host| &host.endpoint)
    }

    /// Whether the endpoint with this index is left out by outlier detection.
    pub fn is_ejected(&self, index: usize) -> bool {
        self.hosts.get(index).is_some_and(|host| host.state.is_ejected())
    }

    /// The level of the endpoint with this index; 0 is the first to be used.
    pub fn level(&self, index: usize) -> usize {
        self.levels.iter().position(|level| level.whole.hosts.contains(&index)).unwrap_or(0)
    }

    /// Charges the endpoint with this index with what was observed at `now`.
    pub fn observe(&self, index: usize, observed: Observed, now: u64) {
        if let (Some(outliers), Some(host)) = (&self.memory.outliers, self.hosts.get(index)) {
            outliers.observe(host.endpoint.address, &host.state, observed, now);
        }
    }

    /// The index of the endpoint for a request; `random` gives uniform 64-bit numbers. `None` when there is no usable
    /// endpoint.
    pub fn choose(&self, choice: Choice<'_>, random: &mut impl FnMut() -> u64) -> Option<usize> {
        if self.settings.algorithm == Algorithm::Passthrough {
            return None;
        }
        if self.has_newcomers.load(Ordering::Relaxed) {
            self.welcome(choice.now);
        }
        let ejected = self.memory.outliers.as_ref().map_or(0, |outliers| {
            outliers.advance(choice.now);
            outliers.ejected()
        });
        // One number for the level and the place on its ring, as in Envoy.
        let hash = if self.hashes() { Some(choice.hash.unwrap_or_else(&mut *random)) } else { None };
        let (level, panics) = match &self.levels[..] {
            [only] => (only, ejected > 0 && self.panics(only, ejected)),
            several => {
                let number = hash.unwrap_or_else(&mut *random);
                let (index, panics) = self.load(ejected > 0, choice.left).choose(number);
                (&several[index], panics)
            }
        };
        let spares_ejected = ejected > 0 && !panics;
        let usable = |index: usize| !(spares_ejected && self.hosts[index].state.is_ejected());
        let part = match hash {
            None if !panics => level.area(&self.hosts, spares_ejected, random).unwrap_or(&level.whole),
            _ => &level.whole,
        };
        if !choice.tried.is_empty() {
            let untried = |index: usize| usable(index) && !choice.tried.contains(&self.hosts[index].endpoint.address);
            for part in [part, &level.whole] {
                let among = (level, part, spares_ejected);
                if let Some(index) = self.choose_among(among, choice.now, hash, random, untried) {
                    return Some(index);
                }
            }
        }
        self.choose_among((level, part, spares_ejected), choice.now, hash, random, usable)
    }

    /// What each of several levels takes now, for a request that has been to the endpoints of `left`.
    fn load(&self, is_ejecting: bool, left: &[SocketAddr]) -> Loads {
        if !is_ejecting && left.len() < LEVEL_CHANGES_AFTER {
            return self.at_rest.clone();
        }
        let health: SmallVec<[Health; 4]> = self.levels.iter().map(|level| level.health(&self.hosts, true)).collect();
        let threshold = self.memory.outliers.as_ref().map_or(0, |outliers| outliers.settings().min_health_percent);
        let loads = Loads::of(&health, threshold);
        let mut seen: SmallVec<[usize; 4]> = SmallVec::new();
        let mut without = None;
        for address in left {
            let host = self.hosts.iter().position(|host| host.endpoint.address == *address);
            seen.extend(host.map(|host| self.level(host)));
            if seen.len().is_multiple_of(LEVEL_CHANGES_AFTER) {
                without = loads.without(&health, |index| seen.contains(&index));
                if without.is_none() {
                    seen.clear();
                }
            }
        }
        without.unwrap_or(loads)
    }

    /// Envoy's panic: with fewer healthy endpoints than this, ejections are passed over, unless the healthy ones can bear
    /// 1.4 times their share (`recalculatePerPriorityPanic` in its load_balancer_impl.cc).
    fn panics(&self, level: &Level, ejected: u32) -> bool {
        let threshold = self.memory.outliers.as_ref().map_or(0, |outliers| outliers.settings().min_health_percent);
        let total = u64::from(level.total());
        let healthy = (self.hosts.len() as u64).saturating_sub(u64::from(ejected));
        healthy * 140 < 100 * total && healthy * 100 < u64::from(threshold) * total
    }

    fn choose_among(
        &self,
        (level, part, spares_ejected): (&Level, &Part, bool),
        now: u64,
        hash: Option<u64>,
        random: &mut impl FnMut() -> u64,
        usable: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let warming = self.settings.warmup.as_ref().filter(|warmup| self.is_warming(warmup, now));
        let plain = part.is_uniform && warming.is_none();
        let share = |index: usize| {
            let host = &self.hosts[index];
            let factor = warming.map_or(1.0, |warmup| {
                slow_start::factor(warmup, now.saturating_sub(host.state.since.load(Ordering::Relaxed)))
            });
            f64::from(host.weight) * factor
        };
        match &self.settings.algorithm {
            Algorithm::Passthrough => None,
            Algorithm::LeastRequest if plain => {
                let (first, second) = (part.draw(random(), &usable)?, part.draw(random(), &usable)?);
                let load = |index: usize| self.hosts[index].endpoint.load.get();
                Some(if load(second) < load(first) { second } else { first })
            }
            // By weight over the requests in flight, as the dynamic weights of Envoy's scheduler.
            Algorithm::LeastRequest => {
                let busy = |index: usize| f64::from(self.hosts[index].endpoint.load.get()) + 1.0;
                part.weighted(unit(random()), |index| if usable(index) { share(index) / busy(index) } else { 0.0 })
            }
            Algorithm::RoundRobin if plain => {
                let turn = self.memory.turn.fetch_add(1, Ordering::Relaxed) as usize;
                if !spares_ejected {
                    return from_turn(turn, part.hosts.len(), |place| part.hosts.start + place).find(|i| usable(*i));
                }
                // Whoever is left out has no turn: else all of them would be those of whoever stands behind.
                let is_in = |index: &usize| !self.hosts[*index].state.is_ejected();
                let healthy: SmallVec<[usize; 16]> = part.hosts.clone().filter(is_in).collect();
                from_turn(turn, healthy.len(), |place| healthy[place]).find(|index| usable(*index))
            }
            Algorithm::RoundRobin => {
                // Multiples of the golden ratio fill the circle evenly: everybody's turns come at even distances.
                let turn = self.memory.turn.fetch_add(1, Ordering::Relaxed);
                let point = u64::from(turn).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                part.weighted(unit(point), |index| if usable(index) { share(index) } else { 0.0 })
            }
            // Weights do not count, as in Envoy (`RandomLoadBalancer::peekOrChoose` in its load_balancer_impl.cc).
            Algorithm::Random => part.draw(random(), &usable),
            Algorithm::ConsistentHash(settings) => {
                let hash = hash.unwrap_or_else(random);
                level.table(&self.hosts, settings.table)?.find(hash, usable)
            }
        }
    }

    /// Notes when endpoints have come: at the first request that could have gone to them.
    fn welcome(&self, now: u64) {
        let now = now.max(1);
        for host in &self.hosts {
            let since = &host.state.since;
            let came =
                since.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed).map_or_else(|at| at, |_| now);
            self.youngest.fetch_max(came, Ordering::Relaxed);
        }
        self.has_newcomers.store(false, Ordering::Relaxed);
    }

    fn is_warming(&self, warmup: &Warmup, now: u64) -> bool {
        let window = u64::try_from(warmup.duration.as_millis()).unwrap_or(u64::MAX);
        now < self.youngest.load(Ordering::Relaxed).saturating_add(window)
    }
}

/// The indices `of` all `count` places, from that whose turn it is.
fn from_turn(turn: usize, count: usize, of: impl Fn(usize) -> usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |step| of(turn.wrapping_add(step) % count))
}

/// Maps a uniform number to [0, 1).
fn unit(random: u64) -> f64 {
    // The 53 bits that a double holds.
    (random >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests;
