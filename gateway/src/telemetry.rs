//! Metrics under Istio's names, and the access log.

pub mod access_log;
pub(crate) mod clusters;
mod handshakes;
mod histogram;
mod mirrors;
mod part;
pub mod requests;
mod series;
pub(crate) mod streams;

use access_log::{AccessLog, RequestFacts};
use handshakes::Handshakes;
use mirrors::MirrorCounters;
use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, gauge::Gauge, info::Info},
    registry::Registry,
};
use requests::{Measured, Recorder};
use series::SeriesTable;
use std::{fmt, io, path::PathBuf, sync::Arc, time::Duration};
use streams::{StreamCounters, StreamFacts};

/// What is recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TelemetrySettings {
    pub access_log: AccessLogTarget,
    /// Whose requests these are in Istio's metrics: `source_workload_namespace`.
    pub gateway_namespace: Arc<str>,
}

/// Where the access log goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AccessLogTarget {
    #[default]
    Off,
    Stdout,
    /// Appended to; created when missing.
    File(PathBuf),
}

/// Everything recorded about requests. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub struct Telemetry(Arc<Inner>);

/// Connections there are now, and those that were turned away.
#[derive(Clone, Debug, Default)]
pub(crate) struct ConnectionGauges {
    pub(crate) downstream: Gauge,
    /// Those of them that wait, without anything of HTTP.
    pub(crate) resting: Gauge,
    /// For want of file descriptors or memory.
    pub(crate) turned_away: Counter,
    /// Unused connections to endpoints.
    pub(crate) upstream_idle: Gauge,
}

#[derive(Debug)]
struct Inner {
    registry: parking_lot::Mutex<Registry>,
    series: Arc<SeriesTable>,
    connections: ConnectionGauges,
    handshakes: Handshakes,
    mirrors: MirrorCounters,
    streams: Arc<StreamCounters>,
    access_log: Option<AccessLog>,
}

impl Telemetry {
    /// Opens the access log, if there is to be one, and registers the metrics.
    ///
    /// # Errors
    /// When the access log cannot be opened, or its thread not started.
    pub fn start(settings: &TelemetrySettings) -> io::Result<Self> {
        let access_log = AccessLog::open(&settings.access_log)?;
        let series = Arc::new(SeriesTable::new(Arc::clone(&settings.gateway_namespace)));
        let connections = ConnectionGauges::default();
        let mirrors = MirrorCounters::default();
        let mut registry = Registry::default();
        mirrors.register(&mut registry);
        registry.register_collector(Box::new(series::Collector(Arc::clone(&series))));
        let streams = Arc::new(StreamCounters::new(Arc::clone(&settings.gateway_namespace)));
        registry.register_collector(Box::new(streams::Collector(Arc::clone(&streams))));
        registry.register(
            "istio_build",
            "The gateway's version, under the name by which Istio's dashboards know it",
            Info::new(vec![("component", "proxy"), ("tag", env!("CARGO_PKG_VERSION"))]),
        );
        registry.register(
            "gateway_downstream_connections",
            "Connections of clients there are now",
            connections.downstream.clone(),
        );
        registry.register(
            "gateway_downstream_resting_connections",
            "Those of them that have waited for a while, and cost little more than their socket",
            connections.resting.clone(),
        );
        registry.register(
            "gateway_connections_turned_away",
            "Connections of clients reset because nine tenths of the file descriptors, or nearly all memory, were taken",
            connections.turned_away.clone(),
        );
        registry.register(
            "gateway_upstream_idle_connections",
            "Connections to endpoints that wait for a request",
            connections.upstream_idle.clone(),
        );
        let handshakes = Handshakes::default();
        handshakes.register(&mut registry);
        if let Some(log) = &access_log {
            registry.register("gateway_access_log_lost", "Access log lines dropped because the disk was too slow", {
                log.lost().clone()
            });
        }
        let registry = parking_lot::Mutex::new(registry);
        Ok(Self(Arc::new(Inner { registry, series, connections, handshakes, mirrors, streams, access_log })))
    }

    /// Adds metrics of another module; by convention their names begin with `gateway_`.
    pub fn register(&self, add: impl FnOnce(&mut Registry)) {
        add(&mut self.0.registry.lock());
    }

    /// All metrics in Prometheus' text format (OpenMetrics).
    ///
    /// # Errors
    /// None that can happen with a `String`.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.0.registry.lock())?;
        Ok(text)
    }

    /// A recorder for one worker thread.
    pub(crate) fn recorder(&self) -> Recorder {
        Recorder::new(Arc::clone(&self.0.series), self.0.connections.clone())
    }

    pub(crate) fn connections(&self) -> &ConnectionGauges {
        &self.0.connections
    }

    pub(crate) fn handshakes(&self) -> &Handshakes {
        &self.0.handshakes
    }

    pub(crate) fn mirrors(&self) -> &MirrorCounters {
        &self.0.mirrors
    }

    pub(crate) fn streams(&self) -> &StreamCounters {
        &self.0.streams
    }

    /// Whether there is an access log that wants to know about requests.
    pub(crate) fn wants_facts(&self) -> bool {
        self.0.access_log.is_some()
    }

    /// Writes one line of the access log.
    pub(crate) fn log(&self, facts: &RequestFacts, measured: &Measured, details: &str, cluster: Option<&str>) {
        if let Some(log) = &self.0.access_log {
            log.write(facts.line(measured, details, cluster));
        }
    }

    /// Writes one line of the access log about a connection that was passed on, with its bytes from and to the client.
    pub(crate) fn log_stream(
        &self,
        facts: &StreamFacts,
        flags: &str,
        bytes: (u64, u64),
        duration: Duration,
        cluster: Option<&str>,
    ) {
        if let Some(log) = &self.0.access_log {
            log.write(facts.line(flags, bytes, duration, cluster));
        }
    }
}
