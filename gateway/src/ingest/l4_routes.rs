//! `tls[]` and `tcp[]` of a VirtualService: checked, not served yet.

use super::{
    IngestContext, destination,
    findings::{Findings, Path},
    gateway_names, hosts, labels,
};
use crate::{
    istio::{common::StringMap, virtual_service as istio},
    model::host::HostPattern,
};
use std::net::IpAddr;

/// Reports everything about the TLS and TCP routes (`validateTLSRoute`, `validateTCPRoute` in validation.go).
pub(super) fn check(
    spec: &istio::VirtualService,
    namespace: &str,
    context: &IngestContext,
    findings: &mut Findings<'_>,
) {
    let spec_path = Path::SPEC;
    if !spec.tls.is_empty() {
        findings.not_served(&spec_path.field("tls"), "TLS is not routed by server name; the routes are left out");
    }
    for (index, route) in spec.tls.iter().enumerate() {
        let path = spec_path.field("tls");
        let path = path.index(index);
        if route.matches.is_empty() {
            findings.invalid(&path.field("match"), "is required: name sniHosts");
        }
        for (index, attributes) in route.matches.iter().enumerate() {
            let path = path.field("match");
            check_tls_match(attributes, spec, namespace, &path.index(index), findings);
        }
        check_destinations(&route.route, namespace, context, &path.field("route"), findings);
    }
    if !spec.tcp.is_empty() {
        findings.not_served(&spec_path.field("tcp"), "TCP is not routed; the routes are left out");
    }
    for (index, route) in spec.tcp.iter().enumerate() {
        let path = spec_path.field("tcp");
        let path = path.index(index);
        for (index, attributes) in route.matches.iter().enumerate() {
            let path = path.field("match");
            let path = path.index(index);
            let common = Common {
                subnets: &attributes.destination_subnets,
                port: attributes.port,
                source_labels: &attributes.source_labels,
                gateways: &attributes.gateways,
            };
            common.check(namespace, &path, findings);
        }
        check_destinations(&route.route, namespace, context, &path.field("route"), findings);
    }
}

fn check_tls_match(
    attributes: &istio::TlsMatchAttributes,
    spec: &istio::VirtualService,
    namespace: &str,
    path: &Path<'_>,
    findings: &mut Findings<'_>,
) {
    let sni_path = path.field("sniHosts");
    if attributes.sni_hosts.is_empty() {
        findings.invalid(&sni_path, "is required: name the server names");
    }
    for (index, name) in attributes.sni_hosts.iter().enumerate() {
        let path = sni_path.index(index);
        if hosts::is_ip(name) {
            findings.suspicious(&path, format!("{name} is an address, and few clients send one as server name"));
        } else if let Err(reason) = hosts::check_pattern(name) {
            // Names that gateways of meshes make, `outbound_.80_._.host`, are none of DNS.
            if !name.starts_with("outbound_") {
                findings.invalid(&path, reason);
            }
        } else if !spec.hosts.iter().any(|host| HostPattern::new(name).is_subset_of(&HostPattern::new(host))) {
            findings.invalid(&path, format!("{name:?} is in none of the object's hosts: add it there"));
        }
    }
    let common = Common {
        subnets: &attributes.destination_subnets,
        port: attributes.port,
        source_labels: &attributes.source_labels,
        gateways: &attributes.gateways,
    };
    common.check(namespace, path, findings);
}

/// What TLS and TCP matches have in common.
struct Common<'a> {
    subnets: &'a [String],
    port: u32,
    source_labels: &'a StringMap,
    gateways: &'a [String],
}

impl Common<'_> {
    fn check(&self, namespace: &str, path: &Path<'_>, findings: &mut Findings<'_>) {
        let subnets = path.field("destinationSubnets");
        for (index, subnet) in self.subnets.iter().enumerate().filter(|(_, subnet)| !is_subnet(subnet)) {
            findings.invalid(&subnets.index(index), format!("{subnet:?} is neither an address nor a CIDR block"));
        }
        if self.port != 0 {
            destination::port(self.port, &path.field("port"), findings);
        }
        labels::check(self.source_labels, &path.field("sourceLabels"), findings);
        gateway_names::resolve(self.gateways, namespace, &path.field("gateways"), findings);
    }
}

/// Whether `text` is an address or a CIDR block (`ValidateIPSubnet` in istio/pkg/config/validation/agent/validation.go).
pub(super) fn is_subnet(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else { return hosts::is_ip(text) };
    let most = match address.parse::<IpAddr>() {
        Ok(IpAddr::V4(_)) => 32,
        Ok(IpAddr::V6(_)) => 128,
        Err(_) => return false,
    };
    !bits.starts_with('+') && bits.parse::<u8>().is_ok_and(|bits| bits <= most)
}

fn check_destinations(
    route: &[istio::RouteDestination],
    namespace: &str,
    context: &IngestContext,
    path: &Path<'_>,
    findings: &mut Findings<'_>,
) {
    if route.is_empty() {
        findings.invalid(path, "is required: name a destination");
    }
    for (index, entry) in route.iter().enumerate() {
        let path = path.index(index);
        match &entry.destination {
            Some(target) => {
                destination::read(target, namespace, context, &path.field("destination"), findings);
            }
            None => findings.schema(&path.field("destination"), "is required"),
        }
        if entry.weight < 0 {
            findings.invalid(&path.field("weight"), format!("{} is negative", entry.weight));
        }
    }
    if route.len() > 1 && route.iter().map(|entry| i64::from(entry.weight)).sum::<i64>() == 0 {
        findings.invalid(path, "has a total weight of 0: an absent weight is 0 when there are several destinations");
    }
}
