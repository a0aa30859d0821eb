//! Who answers requests.

use super::place::{NODE, PODS, Side};

/// Somebody who answers requests, and how to reach it.
#[derive(Clone, Debug)]
pub(super) struct Contender {
    pub(super) name: &'static str,
    /// Whose CPU time is counted.
    pub(super) process: Option<u32>,
    /// Where its callers stand.
    pub(super) side: Side,
}

/// What is spoken on both sides of a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entrance {
    /// HTTP/1.1 in and out.
    Http1,
    /// HTTP/2 in the clear in, HTTP/1.1 out.
    Http2,
    /// HTTP/2 in the clear in and out.
    Http2Both,
    /// HTTP/1.1 over TLS 1.3 in, HTTP/1.1 in the clear out.
    Tls,
}

pub(super) const OURS_S: &str = "ours_s";
pub(super) const OURS_U: &str = "ours_u";
pub(super) const ENVOY: &str = "envoy";
pub(super) const HAPROXY: &str = "haproxy";
pub(super) const NGINX: &str = "nginx";
pub(super) const DIRECT: &str = "direct";
/// The direct connection once more: what differs between the two is noise.
pub(super) const AGAIN: &str = "direct_again";
/// Two builds of ours.
pub(super) const BEFORE: &str = "before";
pub(super) const AFTER: &str = "after";
/// A direct connection where our programs run, between two that have nothing to do with us.
pub(super) const INSIDE: &str = "direct_inside";

impl Contender {
    /// Where `path` is asked for; `None` where it does not speak that. Direct connections lead to the pods that gateways
    /// lead to.
    pub(super) fn address_for(&self, entrance: Entrance, path: &str) -> Option<String> {
        let side = match self.name {
            DIRECT | AGAIN => Side::Outside,
            INSIDE => Side::Inside,
            _ => return self.address(entrance),
        };
        let ports = side.ports();
        let port = match entrance {
            Entrance::Http1 if path.starts_with("/v2/") => ports.v2,
            Entrance::Http1 => ports.v1,
            Entrance::Http2 | Entrance::Http2Both => ports.v1_http2,
            Entrance::Tls => return None,
        };
        Some(format!("{PODS}:{port}"))
    }

    /// Where a gateway is entered; `None` where it does not speak that, or is none.
    pub(super) fn address(&self, entrance: Entrance) -> Option<String> {
        let port = match (self.name, entrance) {
            (OURS_S, Entrance::Http1) => 8080,
            (OURS_U, Entrance::Http1) => 8090,
            // HTTP/2 is told by its first bytes.
            (OURS_S, Entrance::Http2) => 8080,
            (OURS_U, Entrance::Http2) => 8090,
            (OURS_S, Entrance::Http2Both) => 8280,
            (OURS_U, Entrance::Http2Both) => 8290,
            (OURS_S, Entrance::Tls) => 8380,
            (OURS_U, Entrance::Tls) => 8390,
            (ENVOY, Entrance::Http1) => 8081,
            (HAPROXY, Entrance::Http1) => 8082,
            (NGINX, Entrance::Http1) => 8083,
            (ENVOY, Entrance::Http2) => 8181,
            (HAPROXY, Entrance::Http2) => 8182,
            (NGINX, Entrance::Http2) => 8183,
            (ENVOY, Entrance::Http2Both) => 8281,
            (HAPROXY, Entrance::Http2Both) => 8282,
            (ENVOY, Entrance::Tls) => 8381,
            (HAPROXY, Entrance::Tls) => 8382,
            (NGINX, Entrance::Tls) => 8383,
            _ => return None,
        };
        Some(format!("{NODE}:{port}"))
    }
}
