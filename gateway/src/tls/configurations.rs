//! What the keeper hands to the data plane: for each way of ending TLS, how a handshake is to be made now.

use crate::model::tls::Termination;
use arc_swap::ArcSwap;
use rustls::ServerConfig;
use std::{collections::HashMap, sync::Arc};
use tokio::sync::watch;

/// How a handshake is made. Both halves share their certificates and tickets.
#[derive(Clone, Debug)]
pub struct Configuration {
    /// For clients that name a protocol which is spoken.
    pub with_alpn: Arc<ServerConfig>,
    /// For everybody else: Envoy goes on without a protocol where rustls would end the handshake.
    pub without_alpn: Arc<ServerConfig>,
}

/// Whether handshakes can be made.
#[derive(Clone, Debug)]
pub enum State {
    /// The source has not said yet what is in some Secret.
    Pending,
    Ready(Configuration),
    /// Something is missing or broken, and there never was anything better.
    Missing,
}

pub(super) type Table = HashMap<Arc<Termination>, State>;

/// The reading side.
#[derive(Clone, Debug)]
pub struct Configurations {
    current: Arc<ArcSwap<Table>>,
    changes: watch::Receiver<()>,
}

/// The writing side; the keeper has the only one.
#[derive(Debug)]
pub(super) struct Writer {
    current: Arc<ArcSwap<Table>>,
    changes: watch::Sender<()>,
}

/// Both sides, with nothing in them.
pub(super) fn channel() -> (Writer, Configurations) {
    let current = Arc::new(ArcSwap::default());
    let (sender, receiver) = watch::channel(());
    (Writer { current: Arc::clone(&current), changes: sender }, Configurations { current, changes: receiver })
}

impl Writer {
    pub(super) fn write(&self, table: Table) {
        self.current.store(Arc::new(table));
        self.changes.send_replace(());
    }
}

impl Configurations {
    /// Without any, for a data plane without TLS.
    pub fn none() -> Self {
        channel().1
    }

    /// The configuration for `termination`, once it is known whether there is one. `None` when there is none.
    pub async fn find(&self, termination: &Termination) -> Option<Configuration> {
        let mut changes = self.changes.clone();
        loop {
            // Before the look, so that no change is missed.
            changes.mark_unchanged();
            match self.current.load().get(termination) {
                Some(State::Ready(configuration)) => return Some(configuration.clone()),
                Some(State::Missing) | None => return None,
                Some(State::Pending) => {}
            }
            if changes.changed().await.is_err() {
                return None;
            }
        }
    }
}
