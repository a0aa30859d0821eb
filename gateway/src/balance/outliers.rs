//! Outlier detection: endpoints that fail too often in a row are left out for a while (Envoy's
//! source/common/upstream/outlier_detection_impl.cc).
//!
//! There is no timer. What Envoy does at every interval is done when the next request comes after it, so that a rule whose
//! service is idle costs nothing; an interval in which nothing could change is not even noticed.

use super::host::HostState;
use crate::model::traffic_policy::OutlierDetection;
use parking_lot::{Mutex, MutexGuard};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

/// What became of a request, as its endpoint is charged with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observed {
    /// A connection stands.
    Connected,
    /// No connection, or one that ended before an answer.
    Failed,
    /// No answer in time.
    TimedOut,
    /// The status of the answer.
    Status(u16),
}

/// The detector of one cluster. Times are milliseconds of a clock that never goes back.
#[derive(Debug)]
pub struct Outliers {
    settings: OutlierDetection,
    /// When something has to be looked at next; `NEVER` while nobody is or has lately been ejected.
    due: AtomicU64,
    ejected: AtomicU32,
    inner: Mutex<Inner>,
}

/// Figures for metrics and `/config`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutlierCounts {
    /// Endpoints that are left out now.
    pub ejected: u32,
    /// Ejections so far.
    pub ejections: u64,
    /// Ejections that did not happen for the sake of `maxEjectionPercent`.
    pub overflow: u64,
}

#[derive(Debug, Default)]
struct Inner {
    /// The moment from which intervals are counted: that of the first failure.
    origin: Option<u64>,
    /// In the order of their addresses: a map takes many times the memory where there are one or two, as in most clusters.
    hosts: Box<[Monitored]>,
    ejections: u64,
    overflow: u64,
}

#[derive(Debug)]
struct Monitored {
    address: SocketAddr,
    state: Arc<HostState>,
    consecutive_5xx: u32,
    consecutive_gateway: u32,
    consecutive_local: u32,
    ejected_at: Option<u64>,
    /// By how many base times the next ejection lasts; falls with every healthy interval.
    multiplier: u32,
}

const NEVER: u64 = u64::MAX;

impl Outliers {
    pub fn new(settings: OutlierDetection) -> Self {
        Self { settings, due: AtomicU64::new(NEVER), ejected: AtomicU32::new(0), inner: Mutex::default() }
    }

    pub fn settings(&self) -> &OutlierDetection {
        &self.settings
    }

    /// From now on the cluster has these endpoints, which are in the order of their addresses. What is known of those it keeps
    /// stays.
    pub fn set_hosts(&self, hosts: &[(SocketAddr, Arc<HostState>)]) {
        let mut inner = self.lock();
        let mut before = std::mem::take(&mut inner.hosts).into_iter().peekable();
        let monitored = hosts.iter().map(|(address, state)| {
            while before.next_if(|known| known.address < *address).is_some() {}
            let known = before.next_if(|known| known.address == *address);
            let known = known.filter(|known| Arc::ptr_eq(&known.state, state));
            known.unwrap_or_else(|| Monitored::new(*address, Arc::clone(state)))
        });
        inner.hosts = monitored.collect();
        self.count_ejected(&inner);
    }

    /// How many endpoints are left out now.
    pub fn ejected(&self) -> u32 {
        self.ejected.load(Ordering::Relaxed)
    }

    pub fn counts(&self) -> OutlierCounts {
        let inner = self.lock();
        OutlierCounts { ejected: self.ejected(), ejections: inner.ejections, overflow: inner.overflow }
    }

    /// Lets endpoints back in whose time is over at `now`. One comparison when there is nothing to do.
    pub fn advance(&self, now: u64) {
        if now >= self.due.load(Ordering::Relaxed) {
            self.look(&mut self.lock(), now);
        }
    }

    /// Charges the endpoint at `address`, whose state is `state`, with what was observed at `now`. A success of an endpoint
    /// without failures costs one comparison.
    pub fn observe(&self, address: SocketAddr, state: &HostState, observed: Observed, now: u64) {
        if observed.is_success() && !state.suspect.load(Ordering::Relaxed) {
            return;
        }
        let mut inner = self.lock();
        self.look(&mut inner, now);
        inner.origin.get_or_insert(now);
        // One that has left the cluster meanwhile is nobody's business.
        let Some(host) = inner.host(address) else { return };
        let ejects = host.count(observed, &self.settings);
        state.suspect.store(host.is_suspect(), Ordering::Relaxed);
        if ejects {
            self.eject(&mut inner, address, now);
        }
    }

    /// `ejectHost`: unless too many are ejected already.
    fn eject(&self, inner: &mut Inner, address: SocketAddr, now: u64) {
        let total = inner.hosts.len() as u64;
        let share = 100 * (u64::from(self.ejected()) + 1);
        let Some(host) = inner.host(address).filter(|host| host.ejected_at.is_none()) else { return };
        if share > u64::from(self.settings.max_ejection_percent) * total {
            inner.overflow += 1;
            return;
        }
        host.ejected_at = Some(now);
        host.state.ejected.store(true, Ordering::Relaxed);
        let (base, most) =
            (milliseconds(self.settings.base_ejection_time), milliseconds(self.settings.max_ejection_time()));
        if u64::from(host.multiplier).saturating_mul(base) < most.saturating_add(base) {
            host.multiplier += 1;
        }
        inner.ejections += 1;
        self.count_ejected(inner);
        self.plan(inner, now);
    }

    /// `onIntervalTimer`, for every interval that has ended since the last look: ejections that have lasted long enough end,
    /// then the multipliers of all who are not ejected fall.
    fn look(&self, inner: &mut Inner, now: u64) {
        let interval = milliseconds(self.settings.interval).max(1);
        let (base, most) =
            (milliseconds(self.settings.base_ejection_time), milliseconds(self.settings.max_ejection_time()));
        let mut due = self.due.load(Ordering::Relaxed);
        while due <= now {
            for host in &mut inner.hosts {
                if let Some(ejected_at) = host.ejected_at {
                    let lasts = u64::from(host.multiplier).saturating_mul(base).min(most);
                    if due.saturating_sub(ejected_at) < lasts {
                        continue;
                    }
                    host.restore();
                }
                host.multiplier = host.multiplier.saturating_sub(1);
            }
            due = if inner.is_active() { due.saturating_add(interval) } else { NEVER };
        }
        self.due.store(due, Ordering::Relaxed);
        self.count_ejected(inner);
    }

    /// Makes the end of the current interval the next to be looked at.
    fn plan(&self, inner: &Inner, now: u64) {
        let interval = milliseconds(self.settings.interval).max(1);
        let origin = inner.origin.unwrap_or(now);
        if self.due.load(Ordering::Relaxed) == NEVER {
            let passed = now.saturating_sub(origin) / interval;
            self.due.store(origin.saturating_add((passed + 1).saturating_mul(interval)), Ordering::Relaxed);
        }
    }

    fn count_ejected(&self, inner: &Inner) {
        let ejected = inner.hosts.iter().filter(|host| host.ejected_at.is_some()).count();
        self.ejected.store(u32::try_from(ejected).unwrap_or(u32::MAX), Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing in here panics half way.
        self.inner.lock()
    }
}

impl Inner {
    fn host(&mut self, address: SocketAddr) -> Option<&mut Monitored> {
        let place = self.hosts.binary_search_by_key(&address, |host| host.address).ok()?;
        self.hosts.get_mut(place)
    }

    fn is_active(&self) -> bool {
        self.hosts.iter().any(|host| host.ejected_at.is_some() || host.multiplier > 0)
    }
}

impl Monitored {
    fn new(address: SocketAddr, state: Arc<HostState>) -> Self {
        // A state that comes back after its endpoint was gone begins anew.
        state.ejected.store(false, Ordering::Relaxed);
        state.suspect.store(false, Ordering::Relaxed);
        Self {
            address,
            state,
            consecutive_5xx: 0,
            consecutive_gateway: 0,
            consecutive_local: 0,
            ejected_at: None,
            multiplier: 0,
        }
    }

    /// Counts, and says whether some count has come to its limit (`putHttpResponseCode` and `putResult`). A limit is met
    /// once and the count begins anew, so that a failure more does not eject again at once.
    fn count(&mut self, observed: Observed, settings: &OutlierDetection) -> bool {
        let code = match (observed, settings.consecutive_local_origin) {
            (Observed::Connected, Some(_)) => {
                self.consecutive_local = 0;
                return false;
            }
            (Observed::Failed | Observed::TimedOut, Some(most)) => {
                return self.ejected_at.is_none() && meets(&mut self.consecutive_local, most);
            }
            (Observed::Connected, None) => return false,
            (Observed::Failed, None) => 503,
            (Observed::TimedOut, None) => 504,
            (Observed::Status(code), _) => code,
        };
        if code < 500 {
            self.consecutive_5xx = 0;
            self.consecutive_gateway = 0;
            return false;
        }
        if self.ejected_at.is_some() {
            return false;
        }
        let by_gateway = if matches!(code, 502..=504) {
            meets(&mut self.consecutive_gateway, settings.consecutive_gateway)
        } else {
            self.consecutive_gateway = 0;
            false
        };
        meets(&mut self.consecutive_5xx, settings.consecutive_5xx) || by_gateway
    }

    fn is_suspect(&self) -> bool {
        self.consecutive_5xx > 0 || self.consecutive_gateway > 0 || self.consecutive_local > 0
    }

    /// `unejectHost`.
    fn restore(&mut self) {
        self.ejected_at = None;
        self.consecutive_5xx = 0;
        self.consecutive_gateway = 0;
        self.consecutive_local = 0;
        self.state.ejected.store(false, Ordering::Relaxed);
        self.state.suspect.store(false, Ordering::Relaxed);
    }
}

/// One more; `true`, and zero again, when that is `most`. 0 is no limit.
fn meets(count: &mut u32, most: u32) -> bool {
    *count = count.saturating_add(1);
    let met = *count == most;
    if met {
        *count = 0;
    }
    met
}

impl Observed {
    fn is_success(self) -> bool {
        match self {
            Self::Connected => true,
            Self::Status(code) => code < 500,
            Self::Failed | Self::TimedOut => false,
        }
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
