//! A cluster: one service, port and subset, with the endpoints that serve it.

use super::{dynamic::Dynamic, streams::StreamPolicy, traffic::Traffic, world::CompileSettings};
use crate::{balance::load::Load, model::traffic_policy::HashKey};
use std::{fmt, net::SocketAddr, sync::Arc};

/// Index of a cluster in its snapshot. A route keeps it across snapshots, so that a change of endpoints never touches
/// routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterId(pub u32);

/// Service host, service port and subset. Displays as Istio names the cluster:
/// `outbound|9080|v1|reviews.default.svc.cluster.local`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterName {
    pub host: Arc<str>,
    /// The *service* port, never the target port.
    pub port: u16,
    /// Empty for the service as a whole.
    pub subset: Arc<str>,
}

impl fmt::Display for ClusterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "outbound|{}|{}|{}", self.port, self.subset, self.host)
    }
}

/// What a cluster is at one moment.
#[derive(Debug)]
pub struct Cluster {
    pub name: ClusterName,
    /// `name` as text, for logs and metrics.
    pub label: Arc<str>,
    /// The namespace of the service; empty when there is none.
    pub namespace: Arc<str>,
    pub state: ClusterState,
    /// What a DestinationRule asks for; `None` where everything is as it is without one.
    pub traffic: Option<Box<Traffic>>,
    /// What is hashed of requests to a destination that is this cluster.
    pub hash_key: Option<HashKey>,
    /// There is hashing for such a destination, if only of nothing: without a key.
    pub is_hashed: bool,
    /// Of connections that are passed on unread.
    pub stream: StreamPolicy,
    pub speaks: EndpointSpeech,
    /// There where each request says where it goes, and the cluster has no endpoints of its own.
    pub dynamic: Option<Arc<Dynamic>>,
}

/// What HTTP the endpoints of a cluster are spoken to in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EndpointSpeech {
    #[default]
    Http1,
    Http2,
    /// As the client.
    AsClient,
}

impl EndpointSpeech {
    /// Whether it is HTTP/2 for the request of a client who came by HTTP/2, or did not.
    pub const fn is_http2(self, client_is_http2: bool) -> bool {
        match self {
            Self::Http1 => false,
            Self::Http2 => true,
            Self::AsClient => client_is_http2,
        }
    }
}

#[derive(Debug)]
pub enum ClusterState {
    /// The service, its port and the subset exist. Without endpoints, requests get 503 UH.
    Known(Vec<Arc<Endpoint>>),
    /// Requests get 503 NC.
    Unknown(UnknownCluster),
}

/// Why a cluster does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownCluster {
    /// No Service or ServiceEntry of that host is visible to the gateway.
    Host,
    /// The service has no such port.
    Port,
    /// The DestinationRule in force has no such subset, or there is none.
    Subset,
    /// DNS has not said yet where its endpoints are, or is not asked, for a subset that none of them is in.
    Resolution,
}

impl UnknownCluster {
    /// What is wrong with a destination that leads to `name`, and the remedy.
    pub(super) fn text(self, name: &ClusterName, settings: &CompileSettings) -> String {
        match self {
            Self::Host => {
                let namespace = &settings.gateway_namespace;
                format!("no Service or ServiceEntry visible to {namespace} has the host {}", name.host)
            }
            Self::Port => format!("{} has no port {}: name one of its ports", name.host, name.port),
            Self::Subset => {
                format!("no DestinationRule in force for {} has the subset {}: define it", name.host, name.subset)
            }
            Self::Resolution => format!("{} has no endpoint whose name DNS has answered for yet", name.host),
        }
    }
}

impl Cluster {
    /// The endpoints new requests may use; empty when the cluster is unknown.
    pub fn endpoints(&self) -> &[Arc<Endpoint>] {
        match &self.state {
            ClusterState::Known(endpoints) => endpoints,
            ClusterState::Unknown(_) => &[],
        }
    }

    /// Which of its connections may be exchanged for those of other clusters: 0 for all of them, else only with its own.
    pub fn pool(&self) -> u64 {
        let traffic = self.traffic.as_deref().filter(|traffic| traffic.connections.is_some());
        traffic.map_or(0, |traffic| traffic.balancer.memory().pool)
    }
}

/// One address that serves a cluster. The same `Arc` is kept from snapshot to snapshot, and shared by every cluster of
/// the service, as long as the address stays: its load belongs to the endpoint, not to the route.
#[derive(Debug)]
pub struct Endpoint {
    pub address: SocketAddr,
    /// Name of the pod behind it, if it is one.
    pub pod: Option<Arc<str>>,
    pub node: Option<Arc<str>>,
    pub zone: Option<Arc<str>>,
    /// Requests in flight to this address, over all workers.
    pub load: Load,
}
