//! The servers of a port that differ by the name in a handshake: which of them it is for.

use super::{
    snapshot::{Listener, ListenerKey, Snapshot},
    streams::{Carries, Stream},
};
use crate::model::{gateway::Server, host::HostPattern, object::ObjectId, tls::Termination};
use std::sync::Arc;

/// One server whose TLS ends here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsServer {
    pub id: ServerId,
    /// Its place in `spec.servers`.
    pub index: usize,
    /// The server names it is for; empty for every name, and for none.
    pub names: Vec<HostPattern>,
    pub termination: Arc<Termination>,
}

/// A server, across generations: by what Istio names its route table after.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerId {
    pub gateway: ObjectId,
    pub port_name: Arc<str>,
}

impl ServerId {
    pub(super) fn new(gateway: &ObjectId, server: &Server) -> Self {
        Self { gateway: gateway.clone(), port_name: Arc::clone(&server.port_name) }
    }
}

impl TlsServer {
    /// `None` when TLS of `server` does not end here.
    pub(super) fn of(id: ServerId, server: &Server) -> Option<Self> {
        let termination = server.tls.as_ref()?.termination.as_ref()?;
        let mut names: Vec<HostPattern> = server.hosts.iter().map(|host| host.host.clone()).collect();
        // One `*` among them, and the server is for everybody (`toFilterChainMatch` in istio's listener.go).
        if names.iter().any(HostPattern::is_any) {
            names.clear();
        }
        names.sort_unstable();
        names.dedup();
        Some(Self { id, index: server.index, names, termination: Arc::clone(termination) })
    }
}

/// How closely one of `names` fits `name`: the exact name before the longest suffix, and no condition last (Envoy's
/// `FilterChainManagerImpl::findFilterChainForServerName`). `None` when none does.
fn fit(names: &[HostPattern], name: Option<&str>) -> Option<usize> {
    if names.is_empty() {
        return Some(0);
    }
    let name = name?;
    let fit = |pattern: &HostPattern| match pattern.as_str().strip_prefix('*') {
        Some(suffix) => (name.len() > suffix.len() && name.ends_with(suffix)).then_some(suffix.len()),
        None => (pattern.as_str() == name).then_some(usize::MAX),
    };
    names.iter().filter_map(fit).max()
}

/// What a handshake is for.
#[derive(Clone, Copy, Debug)]
pub enum Chain<'s> {
    /// An HTTPS server, with its table.
    Http(&'s Arc<Listener>, &'s Arc<TlsServer>),
    Stream(&'s Arc<Stream>),
}

impl Snapshot {
    /// The server on `key` for a handshake with the server name `name`, in lower case. The first in Istio's order of several
    /// that fit as closely, those in HTTP before the others.
    pub fn chain(&self, key: ListenerKey, name: Option<&str>) -> Option<Chain<'_>> {
        let https = self.listeners().iter().filter(|listener| listener.key == key);
        let https = https.filter_map(|listener| {
            let tls = listener.tls.as_ref()?;
            Some((fit(&tls.names, name)?, Chain::Http(listener, tls)))
        });
        let streams = self.streams().iter().filter(|stream| stream.key == key);
        let streams =
            streams.filter_map(|stream| Some((fit(stream.names().unwrap_or(&[]), name)?, Chain::Stream(stream))));
        let closest = https.chain(streams).reduce(|best, next| if next.0 > best.0 { next } else { best });
        closest.map(|(_, chain)| chain)
    }

    /// The stream on `key` for what is no TLS: one for anything, or for TLS of every name and none, whose filter chain matches
    /// all that comes (`isMatchAll` in istio's listener.go).
    pub fn passed_on(&self, key: ListenerKey) -> Option<&Arc<Stream>> {
        let mut streams = self.streams().iter().filter(|stream| stream.key == key);
        streams.find(|stream| match &stream.carries {
            Carries::Anything => true,
            Carries::Tls(names) => names.is_empty(),
            Carries::EndedTls(_) => false,
        })
    }

    /// The table of the HTTPS server `id` on `key`, if this generation still has it.
    pub fn table(&self, key: ListenerKey, id: &ServerId) -> Option<&Listener> {
        let of_server = |l: &&Arc<Listener>| l.key == key && l.tls.as_ref().is_some_and(|tls| tls.id == *id);
        self.listeners().iter().find(of_server).map(|listener| &**listener)
    }

    /// The servers of every port whose TLS ends here.
    pub fn tls_servers(&self) -> impl Iterator<Item = &Arc<TlsServer>> {
        let of_streams = self.streams().iter().filter_map(|stream| match &stream.carries {
            Carries::EndedTls(server) => Some(server),
            Carries::Anything | Carries::Tls(_) => None,
        });
        self.listeners().iter().filter_map(|listener| listener.tls.as_ref()).chain(of_streams)
    }
}
