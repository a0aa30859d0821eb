//! `tls[]` and `tcp[]` of a VirtualService.

use super::{
    IngestContext, destination,
    findings::{Findings, Path},
    gateway_names, hosts, labels,
};
use crate::{
    istio::{common::StringMap, virtual_service as istio},
    model::{
        host::HostPattern,
        l4_routes::{Scope, StreamDestination, TcpRule, TlsMatch, TlsRule},
    },
};
use std::net::IpAddr;

/// Reads the TLS routes (`validateTLSRoute` in validation.go).
pub(super) fn tls(
    spec: &istio::VirtualService,
    namespace: &str,
    context: &IngestContext,
    findings: &mut Findings<'_>,
) -> Vec<TlsRule> {
    let path = Path::SPEC;
    let path = path.field("tls");
    let mut rules = Vec::with_capacity(spec.tls.len());
    for (index, route) in spec.tls.iter().enumerate() {
        let path = path.index(index);
        let match_path = path.field("match");
        if route.matches.is_empty() {
            findings.invalid(&match_path, "is required: name sniHosts");
        }
        let matches = route.matches.iter().enumerate();
        let matches = matches
            .map(|(index, attributes)| {
                tls_match(index, attributes, spec, namespace, &match_path.index(index), findings)
            })
            .collect();
        let destinations = destinations(&route.route, namespace, context, &path.field("route"), findings);
        rules.push(TlsRule { index, matches, destinations });
    }
    rules
}

/// Reads the TCP routes (`validateTCPRoute`, same file).
pub(super) fn tcp(
    spec: &istio::VirtualService,
    namespace: &str,
    context: &IngestContext,
    findings: &mut Findings<'_>,
) -> Vec<TcpRule> {
    let path = Path::SPEC;
    let path = path.field("tcp");
    let mut rules = Vec::with_capacity(spec.tcp.len());
    for (index, route) in spec.tcp.iter().enumerate() {
        let path = path.index(index);
        let match_path = path.field("match");
        let matches = route.matches.iter().enumerate();
        let matches = matches
            .map(|(index, attributes)| {
                let common = Common {
                    subnets: &attributes.destination_subnets,
                    port: attributes.port,
                    source_labels: &attributes.source_labels,
                    gateways: &attributes.gateways,
                };
                common.read(namespace, &match_path.index(index), findings)
            })
            .collect();
        let destinations = destinations(&route.route, namespace, context, &path.field("route"), findings);
        rules.push(TcpRule { index, matches, destinations });
    }
    rules
}

fn tls_match(
    index: usize,
    attributes: &istio::TlsMatchAttributes,
    spec: &istio::VirtualService,
    namespace: &str,
    path: &Path<'_>,
    findings: &mut Findings<'_>,
) -> TlsMatch {
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
    let scope = common.read(namespace, path, findings);
    TlsMatch { index, server_names: attributes.sni_hosts.iter().map(|name| HostPattern::new(name)).collect(), scope }
}

/// What TLS and TCP matches have in common.
struct Common<'a> {
    subnets: &'a [String],
    port: u32,
    source_labels: &'a StringMap,
    gateways: &'a [String],
}

impl Common<'_> {
    fn read(&self, namespace: &str, path: &Path<'_>, findings: &mut Findings<'_>) -> Scope {
        let subnets = path.field("destinationSubnets");
        for (index, subnet) in self.subnets.iter().enumerate().filter(|(_, subnet)| !is_subnet(subnet)) {
            findings.invalid(&subnets.index(index), format!("{subnet:?} is neither an address nor a CIDR block"));
        }
        // Port 0 is on no server, and here it is the default.
        let port = (self.port != 0).then(|| destination::port(self.port, &path.field("port"), findings).unwrap_or(0));
        labels::check(self.source_labels, &path.field("sourceLabels"), findings);
        let gateways = gateway_names::resolve(self.gateways, namespace, &path.field("gateways"), findings);
        Scope { port, gateways: (!self.gateways.is_empty()).then_some(gateways) }
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

/// The destinations that name a host. What else is wrong with one is reported, and its share of the connections is closed,
/// as Istio's gateway does.
fn destinations(
    route: &[istio::RouteDestination],
    namespace: &str,
    context: &IngestContext,
    path: &Path<'_>,
    findings: &mut Findings<'_>,
) -> Vec<StreamDestination> {
    if route.is_empty() {
        findings.invalid(path, "is required: name a destination");
    }
    let mut destinations = Vec::with_capacity(route.len());
    for (index, entry) in route.iter().enumerate() {
        let path = path.index(index);
        let target = match &entry.destination {
            Some(target) => destination::read(target, namespace, context, &path.field("destination"), findings),
            None => {
                findings.schema(&path.field("destination"), "is required");
                None
            }
        };
        if entry.weight < 0 {
            findings.invalid(&path.field("weight"), format!("{} is negative", entry.weight));
        }
        let weight = u32::try_from(entry.weight).unwrap_or(0);
        destinations.extend(target.map(|target| StreamDestination {
            host: target.host,
            subset: target.subset,
            port: target.port,
            weight,
        }));
    }
    if route.len() > 1 && route.iter().map(|entry| i64::from(entry.weight)).sum::<i64>() == 0 {
        findings.invalid(path, "has a total weight of 0: an absent weight is 0 when there are several destinations");
    }
    destinations
}
