//! The HTTPS servers of a port: which of them a handshake is for.

use super::snapshot::{Listener, ListenerKey, Snapshot};
use crate::model::{
    gateway::{Protocol, Server},
    host::HostPattern,
    object::ObjectId,
    tls::Termination,
};
use std::sync::Arc;

/// One HTTPS server whose TLS ends here.
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
    /// Whether TLS of `server` ends here, in HTTP.
    pub(super) fn serves(server: &Server) -> bool {
        server.protocol == Protocol::Https && server.tls.as_ref().is_some_and(|tls| tls.termination.is_some())
    }

    pub(super) fn of(id: ServerId, server: &Server) -> Option<Self> {
        let termination = server.tls.as_ref()?.termination.as_ref().filter(|_| Self::serves(server))?;
        let mut names: Vec<HostPattern> = server.hosts.iter().map(|host| host.host.clone()).collect();
        // One `*` among them, and the server is for everybody (`toFilterChainMatch` in istio's listener.go).
        if names.iter().any(HostPattern::is_any) {
            names.clear();
        }
        names.sort_unstable();
        names.dedup();
        Some(Self { id, index: server.index, names, termination: Arc::clone(termination) })
    }

    /// How closely a name of this server fits `name`: the exact name before the longest suffix, and no condition last
    /// (Envoy's `FilterChainManagerImpl::findFilterChainForServerName`). `None` when none does.
    fn fit(&self, name: Option<&str>) -> Option<usize> {
        if self.names.is_empty() {
            return Some(0);
        }
        let name = name?;
        let fit = |pattern: &HostPattern| match pattern.as_str().strip_prefix('*') {
            Some(suffix) => (name.len() > suffix.len() && name.ends_with(suffix)).then_some(suffix.len()),
            None => (pattern.as_str() == name).then_some(usize::MAX),
        };
        self.names.iter().filter_map(fit).max()
    }
}

impl Snapshot {
    /// The HTTPS server on `key` for a handshake with the server name `name`, in lower case. The first in Istio's order of
    /// several that fit as closely.
    pub fn chain(&self, key: ListenerKey, name: Option<&str>) -> Option<(&Arc<Listener>, &Arc<TlsServer>)> {
        let mut best = None;
        for listener in self.listeners().iter().filter(|listener| listener.key == key) {
            let Some(tls) = &listener.tls else { continue };
            if let Some(fit) = tls.fit(name)
                && best.is_none_or(|(closest, _)| fit > closest)
            {
                best = Some((fit, (listener, tls)));
            }
        }
        best.map(|(_, chain)| chain)
    }

    /// The table of the HTTPS server `id` on `key`, if this generation still has it.
    pub fn table(&self, key: ListenerKey, id: &ServerId) -> Option<&Listener> {
        let of_server = |l: &&Arc<Listener>| l.key == key && l.tls.as_ref().is_some_and(|tls| tls.id == *id);
        self.listeners().iter().find(of_server).map(|listener| &**listener)
    }

    /// The HTTPS servers of every port.
    pub fn tls_servers(&self) -> impl Iterator<Item = &Arc<TlsServer>> {
        self.listeners().iter().filter_map(|listener| listener.tls.as_ref())
    }
}
