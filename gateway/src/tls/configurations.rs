//! What the keeper hands to the data plane: for each way of ending or beginning TLS, how a handshake is to be made now.

use crate::model::{origination::Origination, tls::Termination};
use arc_swap::ArcSwap;
use rustls::{ClientConfig, ServerConfig};
use std::{collections::HashMap, sync::Arc};
use tokio::sync::watch;

/// How a handshake with a client is made. Both halves share their certificates and tickets.
#[derive(Clone, Debug)]
pub struct Configuration {
    /// For clients that name a protocol which is spoken.
    pub with_alpn: Arc<ServerConfig>,
    /// For everybody else: Envoy goes on without a protocol where rustls would end the handshake.
    pub without_alpn: Arc<ServerConfig>,
}

/// How a handshake with an endpoint is made. Sessions are remembered as long as the value lives.
#[derive(Clone, Debug)]
pub struct ClientConfiguration {
    /// For requests, whose host the endpoint's certificate may have to be for.
    pub requests: Arc<ClientConfig>,
    /// For bytes of which nothing is known, and so no host.
    pub unread: Arc<ClientConfig>,
}

/// Whether handshakes can be made.
#[derive(Clone, Debug)]
pub enum State<C> {
    /// The source has not said yet what is in some Secret.
    Pending,
    Ready(C),
    /// Something is missing or broken, and there never was anything better.
    Missing,
}

impl<C> State<C> {
    /// The same of a part of what is ready; without that part it is missing.
    pub(super) fn of<P: Clone>(&self, part: impl Fn(&C) -> Option<&P>) -> State<P> {
        match self {
            Self::Pending => State::Pending,
            Self::Ready(all) => part(all).map_or(State::Missing, |part| State::Ready(part.clone())),
            Self::Missing => State::Missing,
        }
    }
}

/// Every configuration of one moment.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) ending: HashMap<Arc<Termination>, State<Configuration>>,
    pub(super) beginning: HashMap<Arc<Origination>, State<ClientConfiguration>>,
}

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
        self.known(|table| table.ending.get(termination).cloned()).await
    }

    /// The same for `origination`.
    pub async fn find_client(&self, origination: &Origination) -> Option<ClientConfiguration> {
        self.known(|table| table.beginning.get(origination).cloned()).await
    }

    async fn known<C>(&self, look: impl Fn(&Table) -> Option<State<C>>) -> Option<C> {
        let mut changes = self.changes.clone();
        loop {
            // Before the look, so that no change is missed.
            changes.mark_unchanged();
            match look(&self.current.load()) {
                Some(State::Ready(configuration)) => return Some(configuration),
                Some(State::Missing) | None => return None,
                Some(State::Pending) => {}
            }
            if changes.changed().await.is_err() {
                return None;
            }
        }
    }
}
