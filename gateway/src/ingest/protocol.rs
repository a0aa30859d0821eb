//! Protocols of ports, by Istio's names.

use crate::model::gateway::Protocol;

/// The protocol named `name`, whatever its case (`Parse` in istio/pkg/config/protocol/instance.go).
pub(super) fn parse(name: &str) -> Protocol {
    match name.to_ascii_lowercase().as_str() {
        "http" | "http_proxy" => Protocol::Http,
        "http2" => Protocol::Http2,
        "grpc" => Protocol::Grpc,
        "grpc-web" => Protocol::GrpcWeb,
        "https" => Protocol::Https,
        "tls" => Protocol::Tls,
        "tcp" => Protocol::Tcp,
        "mongo" => Protocol::Mongo,
        "redis" => Protocol::Redis,
        "mysql" => Protocol::MySql,
        "udp" => Protocol::Udp,
        _ => Protocol::Unsupported,
    }
}

/// Whether the protocol is inside TLS (`Instance.IsTLS`).
pub(super) fn is_tls(protocol: Protocol) -> bool {
    matches!(protocol, Protocol::Https | Protocol::Tls)
}

/// What a Service's port says about its protocol: `app_protocol`, else the name up to its first `-`
/// (`ConvertProtocol` in istio/pkg/config/kube/conversion.go); empty when neither names a protocol.
pub(super) fn hint(app_protocol: Option<&str>, port_name: &str) -> &'static str {
    let name = match app_protocol {
        Some("kubernetes.io/h2c") => "http2",
        Some("kubernetes.io/ws") => "http",
        Some("kubernetes.io/wss") => "https",
        Some(name) => name,
        None => port_name,
    };
    let is_grpc_web = name.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("grpc-web"));
    let name = if is_grpc_web { "grpc-web" } else { name.split('-').next().unwrap_or(name) };
    match parse(name) {
        Protocol::Http => "http",
        Protocol::Http2 => "http2",
        Protocol::Grpc => "grpc",
        Protocol::GrpcWeb => "grpc-web",
        Protocol::Https => "https",
        Protocol::Tls => "tls",
        Protocol::Tcp => "tcp",
        Protocol::Mongo => "mongo",
        Protocol::Redis => "redis",
        Protocol::MySql => "mysql",
        Protocol::Udp => "udp",
        Protocol::Unsupported => "",
    }
}
