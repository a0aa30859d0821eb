//! Metrics under Istio's names, and the access log.

use prometheus_client::registry::Registry;
use std::{io, path::PathBuf, sync::Arc};

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

#[derive(Debug)]
struct Inner {
    registry: parking_lot::Mutex<Registry>,
}

impl Telemetry {
    /// # Errors
    /// When the access log cannot be opened.
    pub fn start(_settings: &TelemetrySettings) -> io::Result<Self> {
        Ok(Self(Arc::new(Inner { registry: parking_lot::Mutex::new(Registry::default()) })))
    }

    /// Adds metrics of another module; by convention their names begin with `gateway_`.
    pub fn register(&self, add: impl FnOnce(&mut Registry)) {
        add(&mut self.0.registry.lock());
    }

    /// All metrics in Prometheus' text format (OpenMetrics).
    pub fn encode(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.0.registry.lock())?;
        Ok(text)
    }
}
