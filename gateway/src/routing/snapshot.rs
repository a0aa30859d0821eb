//! The immutable table the data plane reads: one generation of everything.

use super::{
    cluster::{Cluster, ClusterId},
    lookup::{Found, NoTrace, RequestHead, Trace},
    route::Route,
};
use crate::model::{gateway::Protocol, host::HostPattern, object::ObjectId};
use std::{net::IpAddr, sync::Arc};

/// One generation of the routing table. Cheap to clone parts of, never changed once built.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Counts up with every published table; 0 is the empty table before the first.
    pub generation: u64,
    pub(super) listeners: Vec<Arc<Listener>>,
    pub(super) clusters: Vec<Arc<Cluster>>,
}

/// What a socket is bound to. `address` is `None` for every address of the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListenerKey {
    pub address: Option<IpAddr>,
    /// The port to bind: the Service's target port where one translates it.
    pub port: u16,
}

/// One plaintext HTTP listener with its virtual hosts.
#[derive(Clone, Debug)]
pub struct Listener {
    pub key: ListenerKey,
    /// `port.number` of the first Gateway server on it: the port in virtual host names.
    pub server_port: u16,
    pub protocol: Protocol,
    /// The Gateways whose servers it serves, in Istio's order.
    pub gateways: Vec<ObjectId>,
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
}

impl Snapshot {
    /// The sockets that should be bound.
    pub fn listeners(&self) -> &[Arc<Listener>] {
        &self.listeners
    }

    /// The listener bound to `key`, if this generation still has it.
    pub fn listener(&self, key: ListenerKey) -> Option<&Listener> {
        self.listeners.iter().find(|l| l.key == key).map(|l| &**l)
    }

    pub fn cluster(&self, id: ClusterId) -> &Arc<Cluster> {
        &self.clusters[id.0 as usize]
    }

    /// Every cluster some route names.
    pub fn clusters(&self) -> &[Arc<Cluster>] {
        &self.clusters
    }

    /// What happens to `request` on `listener`: the virtual host for its authority, and in it the first route, in
    /// Istio's order, whose conditions all hold. No allocation, no lock.
    pub fn lookup<'s>(&'s self, listener: &'s Listener, request: &RequestHead<'_>) -> Found<'s> {
        self.lookup_traced(listener, request, &mut NoTrace)
    }

    /// The same lookup, telling `trace` what it looked at. This is what `explain` calls.
    pub fn lookup_traced<'s>(
        &'s self,
        _listener: &'s Listener,
        _request: &RequestHead<'_>,
        _trace: &mut impl Trace,
    ) -> Found<'s> {
        Found::NoVirtualHost
    }
}
