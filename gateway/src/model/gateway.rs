//! Istio's Gateway: which ports a gateway opens, and for which hosts.

use super::{
    host::HostPattern,
    object::{Labels, Meta},
    tls::Termination,
};
use std::{net::IpAddr, sync::Arc};

#[derive(Clone, Debug, PartialEq)]
pub struct Gateway {
    pub meta: Meta,
    /// The gateway workloads this object is for; `None` or empty for every one.
    pub selector: Option<Labels>,
    pub servers: Vec<Server>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Server {
    /// Index in `spec.servers`.
    pub index: usize,
    /// `port.number`: the number that `match.port` and FROM_REQUEST_PORT mean.
    pub port: u16,
    pub port_name: Arc<str>,
    pub protocol: Protocol,
    /// `bind`; `None` for every address.
    pub bind: Option<IpAddr>,
    pub hosts: Vec<ServerHost>,
    pub tls: Option<ServerTls>,
}

/// A server's protocol (`protocol.Parse` in istio/pkg/config/protocol/instance.go).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    Http,
    Http2,
    Grpc,
    GrpcWeb,
    Https,
    Tls,
    Tcp,
    Mongo,
    Redis,
    MySql,
    Udp,
    Unsupported,
}

impl Protocol {
    /// HTTP in the clear (`Instance.IsHTTP`).
    pub const fn is_http(self) -> bool {
        matches!(self, Self::Http | Self::Http2 | Self::Grpc | Self::GrpcWeb)
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Http => "HTTP",
            Self::Http2 => "HTTP2",
            Self::Grpc => "GRPC",
            Self::GrpcWeb => "GRPC-Web",
            Self::Https => "HTTPS",
            Self::Tls => "TLS",
            Self::Tcp => "TCP",
            Self::Mongo => "Mongo",
            Self::Redis => "Redis",
            Self::MySql => "MySQL",
            Self::Udp => "UDP",
            Self::Unsupported => "UnsupportedProtocol",
        }
    }
}

/// One `hosts[]` entry of a server: `[namespace/]host`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServerHost {
    /// VirtualServices of which namespace may attach; `None` for any. `./` has been replaced by the Gateway's own.
    pub namespace: Option<Arc<str>>,
    pub host: HostPattern,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerTls {
    pub mode: TlsMode,
    pub https_redirect: bool,
    /// How TLS ends here; `None` where it does not.
    pub termination: Option<Arc<Termination>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsMode {
    Passthrough,
    Simple,
    Mutual,
    OptionalMutual,
    AutoPassthrough,
    IstioMutual,
}
