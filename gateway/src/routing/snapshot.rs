//! The immutable table the data plane reads: one generation of everything.

use super::{
    chains::TlsServer,
    cluster::{Cluster, ClusterId, ClusterName},
    hosts::HostTable,
    index::RouteIndex,
    lookup::{Found, NoTrace, RequestHead, Trace},
    route::{PathCondition, Route},
    streams::{Carries, Stream},
};
use crate::model::{gateway::Protocol, host::HostPattern, object::ObjectId};
use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

/// One generation of the routing table. Cheap to clone parts of, never changed once built.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Counts up with every published table; 0 is the empty table before the first.
    pub generation: u64,
    /// Of the Services in front of this gateway: calls to them may arrive with another caller's address.
    pub node_ports: Arc<BTreeSet<u16>>,
    pub(super) listeners: Vec<Arc<Listener>>,
    pub(super) streams: Vec<Arc<Stream>>,
    pub(super) clusters: Vec<Arc<Cluster>>,
}

/// What a socket is bound to. `address` is `None` for every address of the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListenerKey {
    pub address: Option<IpAddr>,
    /// The port to bind: the Service's target port where one translates it.
    pub port: u16,
}

/// The virtual hosts of all plaintext HTTP of a port, or of one HTTPS server; several may share a socket.
#[derive(Clone, Debug)]
pub struct Listener {
    pub key: ListenerKey,
    /// `port.number` of the first Gateway server on it: the port in virtual host names.
    pub server_port: u16,
    /// `port.number` of every server on it.
    pub server_ports: BTreeSet<u16>,
    pub protocol: Protocol,
    /// `None` for plaintext.
    pub tls: Option<Arc<TlsServer>>,
    /// The Gateways whose servers it serves, in Istio's order.
    pub gateways: Vec<ObjectId>,
    pub(super) hosts: HostTable,
}

/// What is spoken on a port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Speech {
    /// HTTP in the clear.
    pub plaintext: bool,
    /// A connection's first bytes may decide what becomes of it.
    pub tls: bool,
    /// Some TLS may end here.
    pub ends_tls: bool,
    /// Some TLS may be passed on, and so must be whole.
    pub passes_tls: bool,
}

/// A virtual host: the routes for one host pattern on one listener, in matching order.
#[derive(Clone, Debug)]
pub struct VirtualHost {
    /// As Istio names it: `*:80`.
    pub name: Arc<str>,
    pub domain: HostPattern,
    /// Every request is answered with a redirect to https, before any route (`httpsRedirect`).
    pub require_tls: bool,
    pub routes: Vec<Arc<Route>>,
    pub(super) index: Arc<RouteIndex>,
}

impl Snapshot {
    /// Every table; those with an equal key share a socket, which should be bound.
    pub fn listeners(&self) -> &[Arc<Listener>] {
        &self.listeners
    }

    /// The plaintext listener bound to `key`, if this generation still has it.
    pub fn listener(&self, key: ListenerKey) -> Option<&Listener> {
        self.listeners.iter().find(|l| l.key == key && l.tls.is_none()).map(|l| &**l)
    }

    /// The servers whose connections are passed on unread; they share sockets with tables.
    pub fn streams(&self) -> &[Arc<Stream>] {
        &self.streams
    }

    /// Every socket to be bound, with the Gateways that want it; some come more than once.
    pub fn sockets(&self) -> impl Iterator<Item = (ListenerKey, Option<&ObjectId>)> {
        let tables = self.listeners.iter().map(|listener| (listener.key, listener.gateways.first()));
        tables.chain(self.streams.iter().map(|stream| (stream.key, Some(&stream.gateway))))
    }

    /// The Gateways whose servers are on `key`.
    pub fn gateways(&self, key: ListenerKey) -> BTreeSet<&ObjectId> {
        let tables = self.listeners.iter().filter(|listener| listener.key == key);
        let streams = self.streams.iter().filter(|stream| stream.key == key);
        tables.flat_map(|listener| &listener.gateways).chain(streams.map(|stream| &stream.gateway)).collect()
    }

    /// Whether anything is served on `key`.
    pub fn is_bound(&self, key: ListenerKey) -> bool {
        self.sockets().any(|(other, _)| other == key)
    }

    /// What a connection to `key` may begin with.
    pub fn speaks(&self, key: ListenerKey) -> Speech {
        let mut speech = Speech::default();
        for listener in self.listeners.iter().filter(|listener| listener.key == key) {
            speech.plaintext |= listener.tls.is_none();
            speech.ends_tls |= listener.tls.is_some();
        }
        for stream in self.streams.iter().filter(|stream| stream.key == key) {
            match stream.carries {
                Carries::Anything => {}
                Carries::Tls(_) => speech.passes_tls = true,
                Carries::EndedTls(_) => speech.ends_tls = true,
            }
        }
        speech.tls = speech.ends_tls || speech.passes_tls;
        // A stream for anything takes the handshakes that no server is for.
        speech.passes_tls |= speech.tls && self.passed_on(key).is_some();
        speech
    }

    pub fn cluster(&self, id: ClusterId) -> &Arc<Cluster> {
        &self.clusters[id.0 as usize]
    }

    /// The cluster `name` as it is in this generation, where an earlier one gave it the number `id`.
    pub fn same_cluster(&self, id: ClusterId, name: &ClusterName) -> Option<&Arc<Cluster>> {
        self.clusters.get(id.0 as usize).filter(|cluster| cluster.name == *name)
    }

    /// Every cluster some route names.
    pub fn clusters(&self) -> &[Arc<Cluster>] {
        &self.clusters
    }

    /// What happens to `request` on `listener`: the virtual host for its authority, and in it the first route, in
    /// Istio's order, whose conditions all hold. No lock; no allocation for a lower-case authority.
    pub fn lookup<'s>(&'s self, listener: &'s Listener, request: &RequestHead<'_>) -> Found<'s> {
        self.lookup_traced(listener, request, &mut NoTrace)
    }

    /// The same lookup, telling `trace` what it looked at. This is what `explain` calls.
    pub fn lookup_traced<'s, T: Trace>(
        &'s self,
        listener: &'s Listener,
        request: &RequestHead<'_>,
        trace: &mut T,
    ) -> Found<'s> {
        let Some(host) = listener.hosts.find(request.authority) else { return Found::NoVirtualHost };
        trace.virtual_host(host);
        if host.require_tls && request.scheme != "https" {
            return Found::RequireTls { host };
        }
        let winner = host.index.first(request.path, |ordinal| {
            let condition = &host.routes[ordinal as usize].condition;
            match condition.path {
                PathCondition::Regex(_) => condition.failed(request).is_none(),
                // The index has compared the path.
                _ => condition.failed_beside_path(request).is_none(),
            }
        });
        if T::EXHAUSTIVE {
            let looked_at = winner.map_or(host.routes.len(), |ordinal| ordinal as usize + 1);
            for route in &host.routes[..looked_at] {
                trace.route(route, route.condition.failed(request));
            }
        }
        match winner {
            Some(ordinal) => Found::Route { host, route: &host.routes[ordinal as usize] },
            None => Found::NoRoute { host },
        }
    }
}

impl Listener {
    /// Its virtual hosts, in no particular order.
    pub fn virtual_hosts(&self) -> &[Arc<VirtualHost>] {
        self.hosts.hosts()
    }
}

impl VirtualHost {
    /// A virtual host with `routes` in matching order, indexed. The index of `before` is used again when no condition has
    /// changed: an edit of weights or headers does not pay for it.
    pub(super) fn new(
        name: Arc<str>,
        domain: HostPattern,
        require_tls: bool,
        routes: Vec<Arc<Route>>,
        before: Option<&Self>,
    ) -> Self {
        let same = |before: &&Self| {
            before.routes.len() == routes.len()
                && before.routes.iter().zip(&routes).all(|(a, b)| Arc::ptr_eq(a, b) || a.condition == b.condition)
        };
        let index = match before.filter(same) {
            Some(before) => Arc::clone(&before.index),
            None => Arc::new(RouteIndex::build(&routes)),
        };
        Self { name, domain, require_tls, routes, index }
    }
}
