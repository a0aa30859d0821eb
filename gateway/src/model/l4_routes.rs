//! A VirtualService's `tcp` and `tls` parts: which connection goes where, whatever is spoken in it.

use super::{host::HostPattern, virtual_service::GatewayName};
use std::sync::Arc;

/// One `tcp[]` entry.
#[derive(Clone, Debug, PartialEq)]
pub struct TcpRule {
    /// Index in `spec.tcp`.
    pub index: usize,
    /// Empty: every connection.
    pub matches: Vec<Scope>,
    pub destinations: Vec<StreamDestination>,
}

/// One `tls[]` entry.
#[derive(Clone, Debug, PartialEq)]
pub struct TlsRule {
    /// Index in `spec.tls`.
    pub index: usize,
    pub matches: Vec<TlsMatch>,
    pub destinations: Vec<StreamDestination>,
}

/// One entry of a TLS rule's `match`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsMatch {
    /// Index in `match`.
    pub index: usize,
    pub server_names: Vec<HostPattern>,
    pub scope: Scope,
}

/// For which servers an entry is. At a gateway Istio looks at nothing else: subnets, labels and namespaces of the source
/// have no effect (`l4SingleMatch` in istio/pilot/pkg/networking/core/gateway.go).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// The Gateway server's `port.number`.
    pub port: Option<u16>,
    /// `None` for every Gateway of the VirtualService; an empty list is that of `mesh` alone.
    pub gateways: Option<Vec<GatewayName>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamDestination {
    /// Short names are expanded.
    pub host: HostPattern,
    pub subset: Option<Arc<str>>,
    /// A Service port number.
    pub port: Option<u16>,
    /// As written; absent is 0. A single destination receives everything whatever it says.
    pub weight: u32,
}

impl Scope {
    /// Whether the entry is for the server with `port.number` `port` of `gateway`.
    pub fn includes(&self, gateway: &GatewayName, port: u16) -> bool {
        self.port.is_none_or(|only| only == port)
            && self.gateways.as_ref().is_none_or(|gateways| gateways.contains(gateway))
    }
}
