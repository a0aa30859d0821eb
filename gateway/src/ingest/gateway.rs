//! Gateway.

use super::{
    destination,
    findings::{Findings, Path},
    hosts,
    labels::{self, is_dns_label},
    manifest::Manifest,
    protocol, server_tls,
};
use crate::{
    istio::gateway as istio,
    model::{
        gateway::{Gateway, Protocol, Server, ServerHost, ServerTls, TlsMode},
        host::HostPattern,
    },
};
use std::{collections::BTreeSet, net::IpAddr};

/// Reads a Gateway (`ValidateGateway` in istio/pkg/config/validation/validation.go).
pub(super) fn ingest(manifest: &Manifest, findings: &mut Findings<'_>) -> Option<Gateway> {
    let spec: istio::Gateway = findings.spec()?;
    let id = manifest.id();
    if !is_dns_label(&id.name) {
        findings.invalid(
            &Path::Root("metadata.name"),
            format!("{:?} is no DNS label: a Gateway's name has no dots", &*id.name),
        );
    }
    let path = Path::SPEC;
    let servers_path = path.field("servers");
    if spec.servers.is_empty() {
        findings.invalid(&servers_path, "is required: without a server the Gateway opens no port");
    }
    let mut names = BTreeSet::new();
    let mut servers = Vec::with_capacity(spec.servers.len());
    for (index, server) in spec.servers.iter().enumerate() {
        let path = servers_path.index(index);
        if let Some(port) = server.port.as_ref().filter(|port| !port.name.is_empty())
            && !names.insert(port.name.as_str())
        {
            findings.invalid(
                &path.field("port").field("name"),
                format!("{:?} is the name of another port here", port.name),
            );
        }
        servers.extend(read_server(index, server, &id.namespace, &path, findings));
    }
    let selector = (!spec.selector.is_empty()).then(|| labels::labels(&spec.selector));
    Some(Gateway { meta: manifest.meta.clone(), selector, servers })
}

/// Reads one server (`validateServer`). `None`, with a finding, when it cannot listen.
fn read_server(
    index: usize,
    server: &istio::Server,
    namespace: &str,
    path: &Path<'_>,
    findings: &mut Findings<'_>,
) -> Option<Server> {
    let hosts = read_hosts(&server.hosts, namespace, &path.field("hosts"), findings);
    let bind = read_bind(server, &path.field("bind"), findings);
    if !server.default_endpoint.is_empty() {
        findings.not_served(&path.field("defaultEndpoint"), "Istio does not implement it either");
    }
    let port_path = path.field("port");
    let Some(port) = &server.port else {
        findings.schema(&port_path, "is required");
        return None;
    };
    let is_unix = server.bind.starts_with("unix://");
    let number = match port.number {
        0 if is_unix => None,
        number => destination::port(number, &port_path.field("number"), findings),
    };
    if port.target_port > 0 {
        findings.invalid(&port_path.field("targetPort"), "has no effect in a Gateway: remove it");
    }
    if port.name.is_empty() {
        findings.schema(&port_path.field("name"), "is required");
    }
    let protocol = protocol::parse(&port.protocol);
    if protocol == Protocol::Unsupported {
        let message = format!(
            "{:?} is no protocol: use HTTP, HTTPS, HTTP2, GRPC, GRPC-WEB, TCP, TLS, MONGO, REDIS or MYSQL",
            port.protocol
        );
        findings.invalid(&port_path.field("protocol"), message);
    }
    let tls = server_tls::read(server.tls.as_ref(), protocol, &path.field("tls"), findings);
    let (bind, number, tls) = (bind.ok()?, number?, tls.ok()?);
    if protocol == Protocol::Unsupported || hosts.is_empty() {
        return None;
    }
    if protocol == Protocol::Udp {
        findings.not_served(&port_path.field("protocol"), "UDP is not listened for; the port stays closed");
    } else if !protocol.is_http() {
        report_mode(tls.as_ref(), &path.field("tls").field("mode"), findings);
    }
    Some(Server { index, port: number, port_name: port.name.as_str().into(), protocol, bind, hosts, tls })
}

/// The modes of a mesh are not served.
fn report_mode(tls: Option<&ServerTls>, path: &Path<'_>, findings: &mut Findings<'_>) {
    let name = match tls.map(|tls| tls.mode) {
        Some(TlsMode::AutoPassthrough) => "AUTO_PASSTHROUGH",
        Some(TlsMode::IstioMutual) => "ISTIO_MUTUAL",
        Some(TlsMode::Passthrough | TlsMode::Simple | TlsMode::Mutual | TlsMode::OptionalMutual) | None => return,
    };
    findings.not_served(path, format_args!("{name} is not listened for; the port stays closed"));
}

/// `Err`, with a finding, when the server's address is none this gateway can bind.
fn read_bind(server: &istio::Server, path: &Path<'_>, findings: &mut Findings<'_>) -> Result<Option<IpAddr>, ()> {
    if server.bind.is_empty() {
        return Ok(None);
    }
    let Some(socket) = server.bind.strip_prefix("unix://") else {
        return server.bind.parse().map(Some).map_err(|_invalid| {
            findings.invalid(path, format!("{:?} is neither an address nor a unix:// path", server.bind));
        });
    };
    if !is_socket_path(socket) {
        findings.invalid(path, format!("{socket:?} is no absolute path of a socket"));
    }
    if server.port.as_ref().is_some_and(|port| port.number != 0) {
        findings.invalid(path, "is a unix path, beside which the port number must be 0");
    }
    findings.not_served(path, "unix sockets are not listened on; the server is left out");
    Err(())
}

/// `ValidateUnixAddress`, same file; a leading `@` means an abstract socket.
pub(super) fn is_socket_path(path: &str) -> bool {
    path.starts_with('@') || (path.starts_with('/') && !path.ends_with('/'))
}

/// Reads `[namespace/]host` entries (`ValidateNamespaceSlashWildcardHostname` in agent/validation.go).
fn read_hosts(written: &[String], namespace: &str, path: &Path<'_>, findings: &mut Findings<'_>) -> Vec<ServerHost> {
    if written.is_empty() {
        findings.invalid(path, "is required: name a host, or \"*\" for every one");
    }
    let mut hosts = Vec::with_capacity(written.len());
    for (index, entry) in written.iter().enumerate() {
        let path = path.index(index);
        let (from, host) = match entry.split_once('/') {
            None => (None, entry.as_str()),
            Some((from, host)) => (Some(from), host),
        };
        let reason = match from {
            Some("") => Some("has an empty namespace before the /: write namespace/host, */host or ./host".to_owned()),
            Some(from) if from != "*" && from != "." && !is_dns_label(from) => {
                Some(format!("{from:?} is no namespace"))
            }
            _ => None,
        };
        match reason.or_else(|| objection(host)) {
            Some(reason) => findings.invalid(&path, reason),
            None => {
                let namespace = match from {
                    None | Some("*") => None,
                    Some(".") => Some(namespace.into()),
                    Some(other) => Some(other.into()),
                };
                hosts.push(ServerHost { namespace, host: HostPattern::new(host) });
            }
        }
    }
    hosts
}

/// What is wrong with a server's host (`validateSidecarOrGatewayHostnamePart`).
fn objection(host: &str) -> Option<String> {
    if let Err(reason) = hosts::check_pattern(host) {
        return (!hosts::is_ip(host)).then_some(reason);
    }
    if host != "*" && !host.contains('.') {
        return Some(format!("{host:?} is a short name: a Gateway needs complete host names"));
    }
    hosts::is_partial_wildcard(host)
        .then(|| format!("{host:?} has a wildcard for a part of a label: use \"*.\" and a domain"))
}
