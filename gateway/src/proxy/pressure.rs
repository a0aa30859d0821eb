//! Memory that runs out: whoever is here goes on being served, and what is new is refused, before the kernel kills the
//! process and everybody's connections with it.

use super::settings::Limits;
use crate::{
    memory::cgroup::{MemoryCgroup, MemoryLoad},
    telemetry::Telemetry,
};
use prometheus_client::metrics::gauge::Gauge;
use std::{
    borrow::Cow,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};
use tokio::time::sleep;

/// How much of its limit is taken, in hundredths, when requests are refused, and when connections are. Envoy's
/// documentation recommends 95 and 98 for a heap (configuring overload manager, edge best practices); what a burst takes
/// between two looks must fit above.
const NO_REQUESTS: u64 = 90;
const NO_CONNECTIONS: u64 = 95;

/// So many hundredths less, and it is over.
const RELIEF: u64 = 5;

/// Between two looks when there is plenty, and when more than half is taken.
const SELDOM: Duration = Duration::from_millis(500);
const OFTEN: Duration = Duration::from_millis(50);

/// What nobody may let stand still for longer, once connections are refused.
const PATIENCE: Duration = Duration::from_secs(1);

/// What is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Nothing = 0,
    Requests = 1,
    Connections = 2,
}

/// What the workers know of it. All clones are one.
#[derive(Clone, Debug, Default)]
pub(super) struct Pressure(Arc<AtomicU8>);

impl Pressure {
    /// Whether new requests are answered with 503.
    pub(super) fn refuses_requests(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= Level::Requests as u8
    }

    /// Whether new connections are reset.
    pub(super) fn refuses_connections(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= Level::Connections as u8
    }

    /// `limits`, or what is left of them.
    pub(super) fn patience<'l>(&self, limits: &'l Limits) -> Cow<'l, Limits> {
        if !self.refuses_connections() {
            return Cow::Borrowed(limits);
        }
        Cow::Owned(Limits {
            handshake_timeout: limits.handshake_timeout.min(PATIENCE),
            head_timeout: limits.head_timeout.min(PATIENCE),
            body_idle_timeout: limits.body_idle_timeout.min(PATIENCE),
            answer_idle_timeout: limits.answer_idle_timeout.min(PATIENCE),
            ..limits.clone()
        })
    }

    /// Looks at the cgroup of this process again and again; returns when there is none that accounts for memory. A limit may
    /// come and go.
    pub(super) async fn watch(self, telemetry: Telemetry) {
        let Some(group) = MemoryCgroup::of_this_process() else { return };
        let shown: Gauge = Gauge::default();
        telemetry.register(|registry| {
            registry.register(
                "gateway_memory_pressure",
                "What is refused because the memory limit is near: 0 nothing, 1 requests, 2 connections too",
                shown.clone(),
            );
        });
        let mut level = Level::Nothing;
        loop {
            let load = group.load();
            let next = load.map_or(Level::Nothing, |load| level.next(load));
            if next != level {
                self.0.store(next as u8, Ordering::Relaxed);
                shown.set(i64::from(next as u8));
                say(next, load);
                level = next;
            }
            let is_plenty = load.is_none_or(|load| load.percent() < 50);
            sleep(if is_plenty { SELDOM } else { OFTEN }).await;
        }
    }
}

impl Level {
    /// What follows when `load` is seen.
    fn next(self, load: MemoryLoad) -> Self {
        let percent = load.percent();
        let is_past = |mark: u64, level: Self| percent >= if self >= level { mark - RELIEF } else { mark };
        if is_past(NO_CONNECTIONS, Self::Connections) {
            Self::Connections
        } else if is_past(NO_REQUESTS, Self::Requests) {
            Self::Requests
        } else {
            Self::Nothing
        }
    }
}

fn say(level: Level, load: Option<MemoryLoad>) {
    let mib = |bytes: u64| bytes >> 20;
    let (taken, limit) = load.map_or((0, 0), |load| (mib(load.taken), mib(load.limit)));
    match level {
        Level::Nothing => tracing::info!(taken, limit, "there is memory again: nothing is refused"),
        Level::Requests => tracing::warn!(
            taken,
            limit,
            "nine tenths of the memory are taken (MiB): new requests get 503; if this lasts, raise the container's limit"
        ),
        Level::Connections => {
            tracing::warn!(taken, limit, "nearly all memory is taken (MiB): new connections are reset as well");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_left_later_than_they_are_entered() {
        let mut level = Level::Nothing;
        let mut after = |taken: u64| {
            level = level.next(MemoryLoad { taken, limit: 100 });
            level
        };
        assert_eq!(after(89), Level::Nothing);
        assert_eq!(after(90), Level::Requests);
        assert_eq!(after(86), Level::Requests);
        assert_eq!(after(95), Level::Connections);
        assert_eq!(after(90), Level::Connections);
        assert_eq!(after(89), Level::Requests);
        assert_eq!(after(84), Level::Nothing);
        assert_eq!(after(99), Level::Connections);
        assert_eq!(after(10), Level::Nothing);
    }

    #[test]
    fn patience_ends_with_the_memory() {
        let (limits, pressure) = (Limits::default(), Pressure::default());
        assert_eq!(*pressure.patience(&limits), limits);
        pressure.0.store(Level::Connections as u8, Ordering::Relaxed);
        assert!(pressure.refuses_requests() && pressure.refuses_connections());
        let left = pressure.patience(&limits);
        assert_eq!((left.head_timeout, left.keep_alive_timeout), (PATIENCE, limits.keep_alive_timeout));
    }
}
