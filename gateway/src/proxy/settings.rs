//! What the data plane can be told.

use crate::{dns::on_demand::Lookups, fastpath::Sockets, tls::Configurations};
use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::Duration,
};

/// Settings of the data plane; the defaults are those of `gateway run`.
#[derive(Clone, Debug)]
pub struct ProxySettings {
    /// Worker threads; each has its own sockets, runtime and pools. 0 counts as 1.
    pub workers: usize,
    /// Where listeners without an address of their own are bound.
    pub listen_address: IpAddr,
    pub limits: Limits,
    pub drain: DrainTimes,
    /// What `%HOSTNAME%` in header values stands for.
    pub hostname: Arc<str>,
    /// Where the kernel moves bytes between our sockets and those of pods on this node.
    pub fastpath: Option<Sockets>,
    /// The names that requests bring; `None` where none is resolved.
    pub names: Option<Lookups>,
    /// What TLS handshakes are made with.
    pub tls: Configurations,
    /// Connections begin with a header of the PROXY protocol, and those that do not are closed (Istio's
    /// `gatewayTopology.proxyProtocol`).
    pub proxy_protocol: bool,
    /// So many proxies stand before the gateway whose `x-forwarded-for` and `x-forwarded-proto` count (Istio's
    /// `gatewayTopology.numTrustedProxies`).
    pub trusted_proxies: usize,
}

/// What one connection may cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Request line and headers together; more is answered with 431. Envoy's default is 60 KiB.
    pub head_bytes: usize,
    /// The request target; more is answered with 414.
    pub target_bytes: usize,
    /// From the moment a connection is accepted until its TLS handshake is over; then it is closed. Istio gives Envoy's
    /// `transport_socket_connect_timeout` 15 s.
    pub handshake_timeout: Duration,
    /// From the first byte of a head to its end; later is answered with 408. A second is left for thousands of such answers
    /// at once, so that whoever counts 15 s has it by then.
    pub head_timeout: Duration,
    /// How long a request body may stand still before the request is answered with 408.
    pub body_idle_timeout: Duration,
    /// How long a client may take nothing of an answer; then its connection is closed. Envoy's default
    /// `stream_idle_timeout`, which Istio switches off.
    pub answer_idle_timeout: Duration,
    /// How long a connection may wait for its next request. Envoy's default is an hour.
    pub keep_alive_timeout: Duration,
    /// Until a TCP connection to an endpoint stands. Istio's default connectTimeout is 10 s.
    pub connect_timeout: Duration,
    /// How long an unused connection to an endpoint is kept. Shorter than the keep-alive timeouts usual in servers would
    /// be wasteful, longer than Envoy's hour pointless.
    pub upstream_idle_timeout: Duration,
    /// Unused connections kept to one endpoint by one worker.
    pub upstream_idle_connections: usize,
}

/// The steps of a drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrainTimes {
    /// From "not ready" until nothing new is accepted and connections at rest are closed: Services and load balancers need
    /// this long to look elsewhere. In the second half answers ask for the end of their connection.
    pub announce: Duration,
    /// From then until connections that still live are cut.
    pub deadline: Duration,
}

impl Default for ProxySettings {
    fn default() -> Self {
        Self {
            workers: 1,
            listen_address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            limits: Limits::default(),
            drain: DrainTimes::default(),
            hostname: Arc::from(""),
            fastpath: None,
            names: None,
            tls: Configurations::none(),
            proxy_protocol: false,
            trusted_proxies: 0,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_bytes: 60 * 1024,
            target_bytes: 8 * 1024,
            handshake_timeout: Duration::from_secs(15),
            head_timeout: Duration::from_secs(14),
            body_idle_timeout: Duration::from_secs(60),
            answer_idle_timeout: Duration::from_secs(300),
            keep_alive_timeout: Duration::from_secs(3600),
            connect_timeout: Duration::from_secs(10),
            upstream_idle_timeout: Duration::from_secs(300),
            upstream_idle_connections: 1024,
        }
    }
}

impl Default for DrainTimes {
    fn default() -> Self {
        Self { announce: Duration::from_secs(5), deadline: Duration::from_secs(30) }
    }
}
