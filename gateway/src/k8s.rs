//! Kubernetes as a source: one watch for each kind, over streaming lists, turned into deltas.
//!
//! Knows nothing of routing. A watch that fails changes nothing that is in force: it is tried again, with a growing,
//! jittered delay, and says so once. So are credentials that cannot be used: the daemon outlives every state of the
//! cluster, and follows it as soon as it can.

mod backoff;
mod client;
mod connection;
mod convert;
mod discover;
mod list;
mod opt_outs;
mod reason;
mod secrets;
mod watch;

pub use client::{NoCluster, connect};
pub use list::{ListFailed, credentials, list};
pub use secrets::SecretWatch;

use crate::{control::delta::Delta, model::object::Kind, pairing::opt_out::OptOutWatch};
use connection::Connection;
use std::time::Duration;
use tokio::{sync::mpsc, task::JoinSet};

/// The gateways of a whole fleet may start at once, after an upgrade or a power cut: their first lists are spread over so
/// long. More would be felt by whoever waits for one gateway.
const START_SPREAD: Duration = Duration::from_millis(500);

/// Watches every kind of the cluster that the environment names, and sends what happens, until the receiver is gone. With
/// `opt_outs` it also follows who on the node wants to have nothing to do with the short-circuit, with `secrets` the
/// certificates that Gateways name.
pub async fn run(deltas: mpsc::Sender<Delta>, opt_outs: Option<OptOutWatch>, secrets: Option<SecretWatch>) {
    tokio::time::sleep(START_SPREAD.mul_f64(fastrand::f64())).await;
    let connection = Connection::default();
    let mut watches = JoinSet::new();
    for kind in Kind::ALL {
        watches.spawn(watch::run(kind, connection.clone(), deltas.clone()));
    }
    if let Some(opt_outs) = opt_outs {
        watches.spawn(opt_outs::run(connection.clone(), opt_outs, deltas.clone()));
    }
    if let Some(secrets) = secrets {
        watches.spawn(secrets::run(connection.clone(), secrets, deltas.clone()));
    }
    drop(deltas);
    while let Some(ended) = watches.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "a watch ended unexpectedly");
        }
    }
}
