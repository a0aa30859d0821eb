//! How a cluster with a policy, or with endpoints of unequal weight, chooses among its endpoints. A cluster without either
//! uses [`least_request`](super::endpoint::least_request) directly.

use super::{host::HostState, maglev::Maglev, memory::ClusterMemory, outliers::Observed, ring::Ring, slow_start};
use crate::{
    model::traffic_policy::{Algorithm, HashTable, LoadBalancer, Warmup},
    routing::cluster::Endpoint,
};
use std::{
    net::SocketAddr,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

/// The endpoints of one version of a cluster, and how they are chosen from.
#[derive(Debug)]
pub struct Balancer {
    settings: LoadBalancer,
    hosts: Vec<Host>,
    /// Whether all have the same weight.
    is_uniform: bool,
    memory: Arc<ClusterMemory>,
    /// Built for the first request: most clusters of a table are idle.
    table: OnceLock<Table>,
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

#[derive(Debug)]
enum Table {
    Ring(Ring),
    Maglev(Maglev),
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
}

/// So many draws before all endpoints are looked through for a usable one.
const DRAWS: usize = 5;

impl Balancer {
    /// `endpoints` with their weights, which are at least 1.
    pub fn new(settings: LoadBalancer, endpoints: &[(Arc<Endpoint>, u32)], memory: Arc<ClusterMemory>) -> Self {
        let states = memory.set_hosts(endpoints.iter().map(|(endpoint, _)| endpoint.address));
        let hosts: Vec<Host> = endpoints
            .iter()
            .zip(states)
            .map(|((endpoint, weight), state)| Host { endpoint: Arc::clone(endpoint), weight: (*weight).max(1), state })
            .collect();
        let is_uniform = hosts.windows(2).all(|pair| pair[0].weight == pair[1].weight);
        let has_newcomers = AtomicBool::new(settings.warmup.is_some());
        Self { settings, hosts, is_uniform, memory, table: OnceLock::new(), has_newcomers, youngest: AtomicU64::new(0) }
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
        let spares_ejected = self.memory.outliers.as_ref().is_some_and(|outliers| {
            outliers.advance(choice.now);
            let ejected = outliers.ejected();
            ejected > 0 && !self.panics(ejected, outliers.settings().min_health_percent)
        });
        let usable = |index: usize| !(spares_ejected && self.hosts[index].state.is_ejected());
        if !choice.tried.is_empty() {
            let untried = |index: usize| usable(index) && !choice.tried.contains(&self.hosts[index].endpoint.address);
            if let Some(index) = self.choose_among(&choice, random, untried) {
                return Some(index);
            }
        }
        self.choose_among(&choice, random, usable)
    }

    /// Envoy's panic: with fewer healthy endpoints than this, ejections are passed over, unless the healthy ones can bear
    /// 1.4 times their share (`recalculatePerPriorityPanic` in its load_balancer_impl.cc).
    fn panics(&self, ejected: u32, min_health_percent: u32) -> bool {
        let total = self.hosts.len() as u64;
        let healthy = total.saturating_sub(u64::from(ejected));
        healthy * 140 < 100 * total && healthy * 100 < u64::from(min_health_percent) * total
    }

    fn choose_among(
        &self,
        choice: &Choice<'_>,
        random: &mut impl FnMut() -> u64,
        usable: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let warming = self.settings.warmup.as_ref().filter(|warmup| self.is_warming(warmup, choice.now));
        let plain = self.is_uniform && warming.is_none();
        let share = |index: usize| {
            let host = &self.hosts[index];
            let factor = warming.map_or(1.0, |warmup| {
                slow_start::factor(warmup, choice.now.saturating_sub(host.state.since.load(Ordering::Relaxed)))
            });
            f64::from(host.weight) * factor
        };
        match &self.settings.algorithm {
            Algorithm::Passthrough => None,
            Algorithm::LeastRequest if plain => {
                let (first, second) = (self.draw(random(), &usable)?, self.draw(random(), &usable)?);
                let load = |index: usize| self.hosts[index].endpoint.load.get();
                Some(if load(second) < load(first) { second } else { first })
            }
            // By weight over the requests in flight, as the dynamic weights of Envoy's scheduler.
            Algorithm::LeastRequest => {
                let busy = |index: usize| f64::from(self.hosts[index].endpoint.load.get()) + 1.0;
                self.weighted(unit(random()), |index| if usable(index) { share(index) / busy(index) } else { 0.0 })
            }
            Algorithm::RoundRobin if plain => {
                let turn = self.memory.turn.fetch_add(1, Ordering::Relaxed) as usize;
                let count = self.hosts.len();
                (0..count).map(|step| (turn.wrapping_add(step)) % count).find(|index| usable(*index))
            }
            Algorithm::RoundRobin => {
                // Multiples of the golden ratio fill the circle evenly: everybody's turns come at even distances.
                let turn = self.memory.turn.fetch_add(1, Ordering::Relaxed);
                let point = u64::from(turn).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                self.weighted(unit(point), |index| if usable(index) { share(index) } else { 0.0 })
            }
            Algorithm::Random if self.is_uniform => self.draw(random(), &usable),
            Algorithm::Random => {
                let weight = |index: usize| if usable(index) { f64::from(self.hosts[index].weight) } else { 0.0 };
                self.weighted(unit(random()), weight)
            }
            Algorithm::ConsistentHash(_) => {
                let hash = choice.hash.unwrap_or_else(random);
                let usable = |index: &usize| usable(*index);
                match self.table()? {
                    Table::Ring(ring) => ring.walk(hash).map(|index| index as usize).find(usable),
                    Table::Maglev(maglev) => maglev.walk(hash).map(|index| index as usize).find(usable),
                }
            }
        }
    }

    /// A usable endpoint, each with the same probability.
    fn draw(&self, random: u64, usable: impl Fn(usize) -> bool) -> Option<usize> {
        let count = self.hosts.len();
        if count == 0 {
            return None;
        }
        // SplitMix64 makes as many numbers of one as are needed.
        let mut state = random;
        let mut index = 0;
        for _ in 0..DRAWS {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            index = scale(z ^ (z >> 31), count);
            if usable(index) {
                return Some(index);
            }
        }
        // Few are usable: count them, so that whoever stands behind many that are not gets no more than the others.
        let usable_count = (0..count).filter(|index| usable(*index)).count();
        let nth = scale(state ^ index as u64, usable_count.max(1));
        (0..count).filter(|index| usable(*index)).nth(nth)
    }

    /// The endpoint at `point`, from 0 to 1, of the sum of `weights`.
    fn weighted(&self, point: f64, weight: impl Fn(usize) -> f64) -> Option<usize> {
        let total: f64 = (0..self.hosts.len()).map(&weight).sum();
        let mut left = point * total;
        let mut last = None;
        for index in 0..self.hosts.len() {
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

    fn table(&self) -> Option<&Table> {
        let Algorithm::ConsistentHash(hash) = &self.settings.algorithm else { return None };
        if self.hosts.is_empty() {
            return None;
        }
        Some(self.table.get_or_init(|| {
            let total: f64 = self.hosts.iter().map(|host| f64::from(host.weight)).sum();
            let hosts: Vec<_> =
                self.hosts.iter().map(|host| (host.endpoint.address, f64::from(host.weight) / total)).collect();
            match hash.table {
                HashTable::Ring { minimum_size } => Table::Ring(Ring::new(&hosts, minimum_size)),
                HashTable::Maglev { size } => Table::Maglev(Maglev::new(&hosts, size)),
            }
        }))
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

/// Maps a uniform number to `0..count`.
fn scale(random: u64, count: usize) -> usize {
    usize::try_from((u128::from(random) * count as u128) >> 64).unwrap_or(0)
}

/// Maps a uniform number to [0, 1).
fn unit(random: u64) -> f64 {
    // The 53 bits that a double holds.
    (random >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests;
