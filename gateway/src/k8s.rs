//! Kubernetes as a source: one watch for each kind, over streaming lists, turned into deltas.
//!
//! Knows nothing of routing. A watch that fails changes nothing that is in force: it is tried again, with a growing,
//! jittered delay, and says so once.

mod backoff;
mod client;
mod convert;
mod discover;
mod list;
pub mod opt_outs;
mod watch;

pub use client::{NoCluster, connect};
pub use list::{ListFailed, list};

use crate::{control::delta::Delta, model::object::Kind};
use kube::Client;
use tokio::{sync::mpsc, task::JoinSet};

/// Watches every kind and sends what happens, until the receiver is gone.
pub async fn run(client: Client, deltas: mpsc::Sender<Delta>) {
    let mut watches = JoinSet::new();
    for kind in Kind::ALL {
        watches.spawn(watch::run(kind, client.clone(), deltas.clone()));
    }
    drop(deltas);
    while let Some(ended) = watches.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "a watch ended unexpectedly");
        }
    }
}
