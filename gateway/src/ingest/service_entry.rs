//! ServiceEntry.

use super::{
    destination,
    export_to::{self, Exporter},
    findings::{Findings, Path},
    gateway::is_socket_path,
    hosts, l4_routes,
    labels::{self, is_dns_label},
    locality_policy,
    manifest::Manifest,
    protocol,
};
use crate::{
    istio::service_entry as istio,
    model::{
        gateway::Protocol,
        host::HostPattern,
        locality::Locality,
        service::TargetPort,
        service_entry::{EntryEndpoint, EntryPort, Resolution, ServiceEntry},
    },
};

/// Reads a ServiceEntry (`ValidateServiceEntry` in istio/pkg/config/validation/validation.go).
pub(super) fn ingest(manifest: &Manifest, findings: &mut Findings<'_>) -> Option<ServiceEntry> {
    let spec: istio::ServiceEntry = findings.spec()?;
    let path = Path::SPEC;
    let hosts = read_hosts(&spec, &path.field("hosts"), findings);
    check_addresses(&spec, &path.field("addresses"), findings);
    let ports = read_ports(&spec, &path.field("ports"), findings);
    check_allocation(&spec, manifest, &path.field("ports"), findings);
    check_resolution(&spec, findings);
    check_sizes(&spec, findings);
    let endpoints = read_endpoints(&spec, &path.field("endpoints"), findings);
    let visibility = export_to::visibility(
        &spec.export_to,
        &manifest.id().namespace,
        Exporter::ServiceEntry,
        &path.field("exportTo"),
        findings,
    );
    let workload_selector = spec.workload_selector.as_ref().map(|selector| {
        let path = path.field("workloadSelector");
        if selector.labels.is_empty() {
            findings.suspicious(&path, "has no labels: it selects every workload of the namespace");
        }
        if spec.endpoints.is_some() {
            findings.invalid(&path, "stands beside endpoints: keep one");
        }
        labels::check_selector(&selector.labels, &path.field("labels"), findings);
        labels::labels(&selector.labels)
    });
    if hosts.is_empty() {
        return None;
    }
    let resolution = resolution(spec.resolution);
    Some(ServiceEntry {
        meta: manifest.meta.clone(),
        hosts,
        visibility,
        ports,
        resolution,
        endpoints,
        workload_selector,
        alternative_names: spec.subject_alt_names.iter().map(|name| name.as_str().into()).collect(),
        distribution: locality_policy::distribution(None, manifest),
    })
}

fn resolution(resolution: istio::Resolution) -> Resolution {
    match resolution {
        istio::Resolution::None => Resolution::None,
        istio::Resolution::Static => Resolution::Static,
        istio::Resolution::Dns => Resolution::Dns,
        istio::Resolution::DnsRoundRobin => Resolution::DnsRoundRobin,
        istio::Resolution::DynamicDns => Resolution::DynamicDns,
    }
}

fn read_hosts(spec: &istio::ServiceEntry, path: &Path<'_>, findings: &mut Findings<'_>) -> Vec<HostPattern> {
    if spec.hosts.is_empty() {
        findings.invalid(path, "is required: name a host");
    }
    let mut hosts = Vec::with_capacity(spec.hosts.len());
    for (index, host) in spec.hosts.iter().enumerate() {
        let path = path.index(index);
        if host == "*" {
            findings.invalid(&path, "\"*\" is no host of a ServiceEntry: name a domain");
            continue;
        }
        if let Err(reason) = hosts::check_pattern(host) {
            findings.invalid(&path, reason);
            continue;
        }
        let is_dynamic = spec.resolution == istio::Resolution::DynamicDns;
        if is_dynamic && !host.starts_with('*') {
            findings.invalid(&path, format!("{host:?} has no wildcard, which resolution DYNAMIC_DNS needs"));
        }
        if !is_dynamic && hosts::is_partial_wildcard(host) {
            findings
                .suspicious(&path, format!("{host:?} has a wildcard for a part of a label: use \"*.\" and a domain"));
        }
        hosts.push(HostPattern::new(host));
    }
    hosts
}

/// Ports of plain TCP need an address to be told apart by; without one Istio allocates it, where it may
/// (`ShouldV2AutoAllocateIPFromConfig` in istio/pkg/config/serviceentry).
fn check_allocation(spec: &istio::ServiceEntry, manifest: &Manifest, path: &Path<'_>, findings: &mut Findings<'_>) {
    let label = manifest.labels.get("networking.istio.io/enable-autoallocate-ip");
    let may_allocate =
        spec.resolution != istio::Resolution::None && label.is_none_or(|value| !value.eq_ignore_ascii_case("false"));
    if may_allocate || !spec.addresses.is_empty() {
        return;
    }
    for (index, _) in spec.ports.iter().enumerate().filter(|(_, port)| matches!(&*port.protocol, "" | "TCP")) {
        findings.suspicious(&path.index(index), "addresses are required for ports of TCP or without a protocol");
    }
}

/// The lists' lengths in the CRD (istio/api's serviceentry schema).
fn check_sizes(spec: &istio::ServiceEntry, findings: &mut Findings<'_>) {
    let path = Path::SPEC;
    let lengths = [
        ("hosts", spec.hosts.len(), 256),
        ("addresses", spec.addresses.len(), 256),
        ("ports", spec.ports.len(), 256),
        ("endpoints", spec.endpoints.as_deref().unwrap_or_default().len(), 4096),
    ];
    for (field, length, most) in lengths.into_iter().filter(|(_, length, most)| length > most) {
        findings
            .schema(&path.field(field), format!("has {length} entries, and {most} are allowed: use several objects"));
    }
}

fn check_addresses(spec: &istio::ServiceEntry, path: &Path<'_>, findings: &mut Findings<'_>) {
    for (index, address) in spec.addresses.iter().enumerate() {
        if !l4_routes::is_subnet(address) {
            findings.invalid(&path.index(index), format!("{address:?} is neither an address nor a CIDR block"));
        } else if address.contains('/')
            && !matches!(spec.resolution, istio::Resolution::None | istio::Resolution::Static)
        {
            findings.invalid(&path.index(index), "is a CIDR block, which only resolution NONE and STATIC allow");
        }
    }
    if spec.resolution == istio::Resolution::DynamicDns && !spec.addresses.is_empty() {
        findings.invalid(path, "is not allowed with resolution DYNAMIC_DNS: the request's host is resolved");
    }
}

fn read_ports(spec: &istio::ServiceEntry, path: &Path<'_>, findings: &mut Findings<'_>) -> Vec<EntryPort> {
    let several_hosts = spec.hosts.len() > 1 && spec.resolution != istio::Resolution::None;
    let mut ports: Vec<EntryPort> = Vec::with_capacity(spec.ports.len());
    for (index, port) in spec.ports.iter().enumerate() {
        let path = path.index(index);
        if !is_dns_label(&port.name) {
            findings.invalid(&path.field("name"), format!("{:?} is no port name", port.name));
        }
        let known = if port.protocol.is_empty() { Protocol::Tcp } else { protocol::parse(&port.protocol) };
        if known == Protocol::Unsupported {
            findings.invalid(&path.field("protocol"), format!("{:?} is no protocol", port.protocol));
        } else if several_hosts && !known.is_http() && !protocol::is_tls(known) {
            findings.invalid(
                &path.field("protocol"),
                format!("{} cannot tell several hosts apart: give each its own ServiceEntry", known.name()),
            );
        }
        let is_dynamic = spec.resolution == istio::Resolution::DynamicDns;
        if is_dynamic && !matches!(known, Protocol::Http | Protocol::Tls | Protocol::Grpc | Protocol::Http2) {
            findings.invalid(
                &path.field("protocol"),
                "is not allowed with resolution DYNAMIC_DNS: use HTTP, HTTP2, GRPC or TLS",
            );
        }
        let target = match port.target_port {
            0 => Some(None),
            number => destination::port(number, &path.field("targetPort"), findings).map(Some),
        };
        let number = destination::port(port.number, &path.field("number"), findings);
        let (Some(number), Some(target)) = (number, target) else { continue };
        if ports.iter().any(|other| other.number == number || *other.name == *port.name) {
            findings.invalid(
                &path,
                format!("repeats the number {number} or the name {:?} of a port before it, which is used", port.name),
            );
            continue;
        }
        ports.push(EntryPort {
            number,
            name: port.name.as_str().into(),
            target: TargetPort::Number(target.unwrap_or(number)),
            protocol_hint: protocol::hint(Some(&port.protocol), &port.name).into(),
        });
    }
    ports
}

fn check_resolution(spec: &istio::ServiceEntry, findings: &mut Findings<'_>) {
    let spec_path = Path::SPEC;
    let endpoints_path = spec_path.field("endpoints");
    let endpoints = spec.endpoints.as_deref().unwrap_or_default();
    match spec.resolution {
        istio::Resolution::Static => {}
        istio::Resolution::None => {
            if !endpoints.is_empty() {
                findings.invalid(&endpoints_path, "is not allowed with resolution NONE: use STATIC or DNS");
            }
            if spec.workload_selector.is_some() {
                findings.suspicious(&spec_path.field("workloadSelector"), "has no effect with resolution NONE");
            }
        }
        istio::Resolution::Dns | istio::Resolution::DnsRoundRobin => {
            if spec.resolution == istio::Resolution::DnsRoundRobin && endpoints.len() > 1 {
                findings.invalid(&endpoints_path, "has more than the one entry that DNS_ROUND_ROBIN allows");
            }
            if endpoints.is_empty() {
                for (index, host) in spec.hosts.iter().enumerate().filter(|(_, host)| hosts::check_fqdn(host).is_err())
                {
                    let message = format!("{host:?} cannot be resolved: give a complete name, or endpoints");
                    findings.invalid(&spec_path.field("hosts").index(index), message);
                }
            }
        }
        istio::Resolution::DynamicDns => {
            if !endpoints.is_empty() {
                findings.invalid(&endpoints_path, "is not allowed with resolution DYNAMIC_DNS");
            }
        }
    }
}

fn read_endpoints(spec: &istio::ServiceEntry, path: &Path<'_>, findings: &mut Findings<'_>) -> Vec<EntryEndpoint> {
    let written = spec.endpoints.as_deref().unwrap_or_default();
    let mut endpoints = Vec::with_capacity(written.len());
    for (index, endpoint) in written.iter().enumerate() {
        let read = read_endpoint(Some(spec), endpoint, &path.index(index), findings);
        endpoints.extend(read.map(|endpoint| EntryEndpoint { index, ..endpoint }));
    }
    endpoints
}

/// Reads one endpoint, of the ServiceEntry `of` or of whoever selects it (`validateWorkloadEntry`). `None`, with a finding,
/// when nothing can be sent to it.
pub(super) fn read_endpoint(
    of: Option<&istio::ServiceEntry>,
    endpoint: &istio::WorkloadEntry,
    path: &Path<'_>,
    findings: &mut Findings<'_>,
) -> Option<EntryEndpoint> {
    labels::check(&endpoint.labels, &path.field("labels"), findings);
    let mut ports = Vec::with_capacity(endpoint.ports.len());
    for (name, number) in &endpoint.ports {
        let path = path.field("ports");
        let path = path.field(name);
        if of.is_some_and(|spec| spec.ports.iter().all(|port| port.name != *name)) {
            findings.invalid(&path, format!("{name:?} is no port of the ServiceEntry"));
        }
        if let Some(number) = destination::port(*number, &path, findings) {
            ports.push((name.as_str().into(), number));
        }
    }
    let address_path = path.field("address");
    let address = endpoint.address.parse().ok();
    if endpoint.address.is_empty() {
        if endpoint.network.is_empty() {
            findings.invalid(&address_path, "is required");
        } else {
            findings.suspicious(
                &address_path,
                "is missing: the endpoint is reached through its network only, which is not served",
            );
        }
        return None;
    }
    if let Some(socket) = endpoint.address.strip_prefix("unix://") {
        if !is_socket_path(socket) {
            findings.invalid(&address_path, format!("{socket:?} is no absolute path of a socket"));
        }
        if !endpoint.ports.is_empty() {
            findings.invalid(&path.field("ports"), "is not allowed for a unix socket");
        }
        if of.is_some_and(|spec| spec.ports.len() != 1) {
            findings.invalid(&address_path, "is a unix socket, which has one port: so must the ServiceEntry");
        }
        findings.not_served(&address_path, "unix sockets are not connected to; the endpoint is left out");
        return None;
    }
    if address.is_none() {
        if of.is_some_and(|spec| spec.resolution == istio::Resolution::Static) {
            findings
                .invalid(&address_path, format!("{:?} is no address, which resolution STATIC needs", endpoint.address));
            return None;
        }
        if hosts::check_fqdn(&endpoint.address).is_err() {
            findings.invalid(&address_path, format!("{:?} is neither an address nor a host name", endpoint.address));
            return None;
        }
    }
    let labels = labels::labels(&endpoint.labels);
    let own = Some(&endpoint.locality).filter(|locality| !locality.is_empty());
    let locality = own.map(|own| Locality::parse(own)).or_else(|| Locality::of_workload(&labels));
    Some(EntryEndpoint {
        index: 0,
        address,
        name: address.is_none().then(|| endpoint.address.as_str().into()),
        ports,
        labels,
        locality: locality.unwrap_or_default(),
        // 0 is "unset" (`WorkloadEntry.weight` in istio/api).
        weight: endpoint.weight.max(1),
    })
}
