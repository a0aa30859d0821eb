//! What operators and the kubelet read: health, configuration, metrics. Read-only, on a thread of its own, so that no
//! scrape can slow a request down.
//!
//! ```text
//! let admin = admin::start(AdminSettings { admin, readiness, metrics }, AdminSources { … })?;   // binds; runs until dropped
//! ```

pub mod config_view;
mod pages;
pub mod readiness;
mod server;

use crate::{control::publish::Published, model::problem::Problem, telemetry::Telemetry};
use pages::Audience;
use readiness::Readiness;
use std::{
    fmt, io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    thread::{self, JoinHandle},
};
use tokio::sync::oneshot;

/// Where the admin server listens. Port 0 picks a free one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminSettings {
    /// `/livez`, `/readyz`, `/config`, `/metrics`; keep it on loopback.
    pub admin: SocketAddr,
    /// `/healthz/ready`, `/readyz` and `/livez` for the kubelet.
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
    /// Which gateway this is and how its source fares, as JSON.
    pub about: Arc<dyn Fn() -> serde_json::Value + Send + Sync>,
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
    /// Dropping it stops the thread.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    #[error("cannot listen on {address} for {purpose}: {error}; choose another address with {flag}")]
    Bind {
        address: SocketAddr,
        purpose: &'static str,
        flag: &'static str,
        #[source]
        error: io::Error,
    },
    #[error("cannot start the admin thread: {0}")]
    Thread(#[source] io::Error),
}

/// Binds all addresses and serves them until the returned value is dropped.
///
/// # Errors
/// An address that cannot be bound, named with the flag that changes it.
pub fn start(settings: &AdminSettings, sources: AdminSources) -> Result<Admin, AdminError> {
    let mut listeners = Vec::new();
    let mut open = |address, audience: Audience| {
        let (listener, bound) = bind(address).map_err(|error| AdminError::Bind {
            address,
            purpose: audience.purpose(),
            flag: audience.flag(),
            error,
        })?;
        listeners.push((listener, audience));
        Ok(bound)
    };
    let bound = AdminSettings {
        admin: open(settings.admin, Audience::Operator)?,
        readiness: settings.readiness.map(|address| open(address, Audience::Kubelet)).transpose()?,
        metrics: settings.metrics.map(|address| open(address, Audience::Prometheus)).transpose()?,
    };
    let (stop, stopped) = oneshot::channel();
    let thread = thread::Builder::new()
        .name("admin".to_owned())
        .spawn(move || {
            if let Err(error) = server::run(listeners, Arc::new(sources), stopped) {
                tracing::error!(%error, "the admin server cannot run");
            }
        })
        .map_err(AdminError::Thread)?;
    Ok(Admin { bound, stop: Some(stop), thread: Some(thread) })
}

fn bind(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let bound = listener.local_addr()?;
    Ok((listener, bound))
}

impl Drop for Admin {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the admin thread had panicked");
        }
    }
}
