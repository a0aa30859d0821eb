//! Streams: servers whose connections are passed on to a cluster, whatever is spoken in them.

use super::{chains::TlsServer, cluster::ClusterId, snapshot::ListenerKey};
use crate::{
    balance::weighted::WeightedDraw,
    model::{
        gateway::Protocol,
        host::HostPattern,
        object::ObjectId,
        traffic_policy::{Algorithm, HashKey, LoadBalancer, TrafficPolicy, Tunnel},
    },
};
use std::{sync::Arc, time::Duration};

/// One of Envoy's filter chains with a TCP proxy.
#[derive(Clone, Debug, PartialEq)]
pub struct Stream {
    pub key: ListenerKey,
    /// `port.number` of the Gateway server.
    pub server_port: u16,
    pub protocol: Protocol,
    pub gateway: ObjectId,
    pub carries: Carries,
    pub route: StreamRoute,
}

/// What a stream is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Carries {
    /// Whatever comes.
    Anything,
    /// TLS that ends at the endpoint: handshakes for these names, or all when there are none.
    Tls(Vec<HostPattern>),
    /// What comes out of TLS that ends here.
    EndedTls(Arc<TlsServer>),
}

/// Where a stream's connections go.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamRoute {
    pub origin: StreamOrigin,
    /// Destinations with weight 0 beside others are left out.
    pub destinations: Vec<WeightedCluster>,
    /// Draws an index into `destinations`.
    pub draw: WeightedDraw,
    /// Whether no other destination is written, with or without weight.
    pub is_alone: bool,
    /// The cluster of the first destination as written: its service's policy says how long connections may last.
    pub policy: ClusterId,
}

/// Where a stream's route was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamOrigin {
    pub object: ObjectId,
    /// `file:line` of the object, for objects from files.
    pub source: Option<Arc<str>>,
    pub section: Section,
    /// Index in `spec.tcp` or `spec.tls`.
    pub rule: usize,
    /// Index in the rule's `match`; 0 for a rule without any.
    pub entry: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    Tcp,
    Tls,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WeightedCluster {
    pub cluster: ClusterId,
    /// 100 for a rule's only destination.
    pub weight: u32,
}

/// What a service's DestinationRule says about connections that are passed on unread. Istio takes it from the rule as a
/// whole, not from its ports or subsets (`buildOutboundNetworkFiltersWithSingleDestination` in istio's networkfilter.go).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamPolicy {
    /// Zero never ends a connection; `None` is Envoy's hour.
    pub idle_timeout: Option<Duration>,
    pub max_duration: Option<Duration>,
    /// Whether clients keep to their endpoint by their address, where there are several destinations.
    pub hashes_source: bool,
    /// The same where the cluster is the only one, for which its subset counts too.
    pub hashes_source_alone: bool,
    /// The way that is asked for, where there are several destinations.
    pub tunnel: Option<Arc<Tunnel>>,
    /// The same where the cluster is the only one, of which then its subset's counts instead (`tunnelingconfig.Apply`).
    pub tunnel_alone: Option<Arc<Tunnel>>,
}

impl Section {
    /// As in `spec.tcp`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Tls => "tls",
        }
    }
}

impl Stream {
    /// The names of handshakes it is for; `None` for what is in the clear.
    pub fn names(&self) -> Option<&[HostPattern]> {
        match &self.carries {
            Carries::Anything => None,
            Carries::Tls(names) => Some(names),
            Carries::EndedTls(server) => Some(&server.names),
        }
    }
}

impl StreamPolicy {
    /// What holds for a service, and for one of its subsets where `subset` is there, with or without a policy.
    pub(super) fn of(service: Option<&TrafficPolicy>, subset: Option<Option<&TrafficPolicy>>) -> Self {
        let tunnel = |policy: Option<&TrafficPolicy>| policy.and_then(|policy| policy.tunnel.clone());
        let tunnel_alone = tunnel(subset.unwrap_or(service));
        let subset = subset.flatten();
        let pool = service.and_then(|policy| policy.blocks.connection_pool.as_ref());
        let hashes_source = |balancer: &LoadBalancer| match &balancer.algorithm {
            Algorithm::ConsistentHash(hash) => hash.key == Some(HashKey::SourceIp),
            _ => false,
        };
        let of_service = service.and_then(|policy| policy.blocks.load_balancer.as_ref()).is_some_and(hashes_source);
        let own = subset.and_then(|policy| policy.blocks.load_balancer.as_ref()).map(hashes_source);
        Self {
            idle_timeout: pool.and_then(|pool| pool.tcp_idle_timeout),
            max_duration: pool.and_then(|pool| pool.max_connection_duration),
            hashes_source: of_service,
            hashes_source_alone: own.unwrap_or(of_service),
            tunnel: tunnel(service),
            tunnel_alone,
        }
    }
}
