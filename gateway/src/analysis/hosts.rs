//! Destinations that lead nowhere, and VirtualServices in each other's way (analyzers/virtualservice).

use super::{HostPattern, Level, Report, World};
use crate::{
    istio::{self, common::Destination, virtual_service as spec},
    model::{
        export::Visibility,
        object::{Kind, Meta},
        service::{Service, ServiceKind},
    },
};
use std::collections::BTreeSet;

/// A destination of a VirtualService, and where it stands.
struct Named {
    path: String,
    destination: Destination,
    is_mirror: bool,
}

pub(super) fn look(world: &World<'_>, report: &mut Report) {
    let specs: Vec<(&Meta, spec::VirtualService)> = world
        .objects
        .iter()
        .filter(|read| read.manifest.kind() == Kind::VirtualService)
        .filter_map(|read| {
            Some((&read.manifest.meta, istio::decode(read.manifest.object.get("spec")?, "spec").ok()?.spec))
        })
        .collect();
    for (meta, spec) in &specs {
        for named in destinations(spec) {
            destination(world, meta, &named, report);
        }
        claims(world, meta, spec, report);
    }
    mesh_hosts(&specs, report);
    subsets_elsewhere(world, &specs, report);
}

fn destinations(spec: &spec::VirtualService) -> Vec<Named> {
    let mut all = Vec::new();
    let mut add = |path: String, destination: Option<&Destination>, is_mirror: bool| {
        all.extend(destination.cloned().map(|destination| Named { path, destination, is_mirror }));
    };
    for (rule, route) in spec.http.iter().enumerate() {
        for (index, entry) in route.route.iter().flatten().enumerate() {
            add(format!("spec.http[{rule}].route[{index}].destination"), entry.destination.as_ref(), false);
        }
        add(format!("spec.http[{rule}].mirror"), route.mirror.as_ref(), true);
        for (index, mirror) in route.mirrors.iter().enumerate() {
            add(format!("spec.http[{rule}].mirrors[{index}].destination"), mirror.destination.as_ref(), true);
        }
    }
    let tls = spec.tls.iter().map(|route| &route.route).enumerate().map(|(rule, route)| ("tls", rule, route));
    let tcp = spec.tcp.iter().map(|route| &route.route).enumerate().map(|(rule, route)| ("tcp", rule, route));
    for (section, rule, route) in tls.chain(tcp) {
        for (index, entry) in route.iter().enumerate() {
            add(format!("spec.{section}[{rule}].route[{index}].destination"), entry.destination.as_ref(), false);
        }
    }
    all
}

/// `destinationhosts.go` and `destinationrules.go`.
fn destination(world: &World<'_>, meta: &Meta, named: &Named, report: &mut Report) {
    let Named { path, destination, is_mirror } = named;
    if destination.host.is_empty() {
        return;
    }
    let host = world.expand(&destination.host, &meta.id.namespace);
    let Some(ports) = world.ports(&host, &meta.id.namespace) else {
        let what = if *is_mirror { "mirror host" } else { "host" };
        let message = format!("Referenced {what} not found: {:?}", destination.host);
        report.say("IST0101", Level::Error, meta, format!("{path}.host"), message);
        return;
    };
    match &destination.port {
        None if ports.len() > 1 => {
            let message = format!(
                "This VirtualService routes to a service {:?} that exposes multiple ports {ports:?}. Specifying a port in the \
                 destination is required to disambiguate",
                destination.host
            );
            report.say("IST0112", Level::Error, meta, format!("{path}.port"), message);
        }
        Some(port) if !ports.iter().any(|known| u32::from(*known) == port.number) => {
            let message = format!("Referenced host:port not found: \"{}:{}\"", destination.host, port.number);
            report.say("IST0101", Level::Error, meta, format!("{path}.port.number"), message);
        }
        _ => {}
    }
    let has_subset = |rule: &&crate::model::destination_rule::DestinationRule| {
        rule.host == host && rule.subsets.iter().any(|subset| *subset.name == *destination.subset)
    };
    if !destination.subset.is_empty() && world.destination_rules().find(has_subset).is_none() {
        let message = format!(
            "Referenced host+subset in destinationrule not found: \"{}+{}\"",
            destination.host, destination.subset
        );
        report.say("IST0101", Level::Error, meta, format!("{path}.subset"), message);
    }
}

/// Claims that nobody verifies (`jwtclaimroute.go`).
fn claims(world: &World<'_>, meta: &Meta, spec: &spec::VirtualService, report: &mut Report) {
    let verified = world.foreign.iter().any(|object| object.kind == "RequestAuthentication");
    for (rule, route) in spec.http.iter().enumerate() {
        for (index, entry) in route.matches.iter().enumerate() {
            let names = entry.headers.keys().chain(entry.without_headers.keys());
            let claim = names.into_iter().find(|name| name.to_ascii_lowercase().starts_with("@request.auth.claims"));
            if let Some(claim) = claim.filter(|_| !verified && !spec.gateways.is_empty()) {
                let message = format!(
                    "The virtual service uses the JWT claim based routing (key: {claim}) but found no request authentication for \
                     the gateway ({}) pod",
                    spec.gateways.join(", ")
                );
                report.say("IST0149", Level::Error, meta, format!("spec.http[{rule}].match[{index}]"), message);
            }
        }
    }
}

/// Two of one host for sidecars (`conflictingmeshgatewayhosts.go`).
fn mesh_hosts(specs: &[(&Meta, spec::VirtualService)], report: &mut Report) {
    let in_mesh =
        |spec: &spec::VirtualService| spec.gateways.is_empty() || spec.gateways.iter().any(|name| name == "mesh");
    let mesh: Vec<_> = specs.iter().filter(|(_, spec)| in_mesh(spec) && !spec.hosts.is_empty()).collect();
    let sees = |(meta, spec): &(&Meta, spec::VirtualService), namespace: &str| {
        spec.export_to.is_empty()
            || spec
                .export_to
                .iter()
                .any(|to| to == "*" || to == namespace || (to == "." && *meta.id.namespace == *namespace))
    };
    let full = |meta: &Meta, host: &str| {
        if host.contains('.') || host == "*" { host.to_owned() } else { format!("{host}.{}", meta.id.namespace) }
    };
    for (position, first) in mesh.iter().enumerate() {
        for second in mesh.iter().skip(position + 1) {
            let namespaces = [&first.0.id.namespace, &second.0.id.namespace];
            if !namespaces.iter().any(|namespace| sees(first, namespace) && sees(second, namespace)) {
                continue;
            }
            let own: BTreeSet<String> = first.1.hosts.iter().map(|host| full(first.0, host)).collect();
            for host in second.1.hosts.iter().filter(|host| own.contains(&full(second.0, host))) {
                for meta in [first.0, second.0] {
                    let message = format!(
                        "The VirtualServices {}/{},{}/{} associated with mesh gateway define the same host {host} which can \
                         lead to undefined behavior. This can be fixed by merging the conflicting VirtualServices into a \
                         single resource",
                        first.0.id.namespace, first.0.id.name, second.0.id.namespace, second.0.id.name
                    );
                    report.say("IST0109", Level::Error, meta, "spec.hosts", message);
                }
            }
        }
    }
}

/// A route of a gateway to a host for which another object chooses subsets: that one is not asked (`analyzeSubset`).
fn subsets_elsewhere(world: &World<'_>, specs: &[(&Meta, spec::VirtualService)], report: &mut Report) {
    for (meta, spec) in specs.iter().filter(|(_, spec)| !spec.gateways.is_empty()) {
        let routes = spec.http.iter().enumerate().flat_map(|(rule, route)| {
            route
                .route
                .iter()
                .flatten()
                .enumerate()
                .map(move |(index, entry)| (rule, index, entry.destination.as_ref()))
        });
        for (rule, index, destination) in routes {
            let Some(destination) = destination.filter(|destination| destination.subset.is_empty()) else { continue };
            let host = world.expand(&destination.host, &meta.id.namespace);
            let chooses = |(other, other_spec): &&(&Meta, spec::VirtualService)| {
                let own_host = |name: &str| world.expand(name, &other.id.namespace) == host;
                let mut entries = other_spec.http.iter().flat_map(|route| route.route.iter().flatten());
                other_spec.hosts.iter().any(|name| own_host(name))
                    && entries.any(|entry| {
                        entry.destination.as_ref().is_some_and(|d| !d.subset.is_empty() && own_host(&d.host))
                    })
            };
            for (other, _) in specs.iter().filter(|(other, _)| other.id != meta.id).filter(chooses) {
                let message = format!(
                    "Subset in virtual service {}/{} has no effect on ingress gateway {}/{} requests",
                    other.id.namespace, other.id.name, meta.id.namespace, meta.id.name
                );
                report.say(
                    "IST0140",
                    Level::Warning,
                    meta,
                    format!("spec.http[{rule}].route[{index}].destination"),
                    message,
                );
            }
        }
    }
}

impl World<'_> {
    /// A name in an object of `namespace`, complete.
    pub(super) fn expand(&self, host: &str, namespace: &str) -> HostPattern {
        if host.contains('.') || host == "*" {
            return HostPattern::new(host);
        }
        HostPattern::new(&format!("{host}.{namespace}.svc.{}", self.settings.cluster_domain))
    }

    /// The ports of the service that `host` names, as objects of `namespace` see it; `None` when there is none.
    pub(super) fn ports(&self, host: &HostPattern, namespace: &str) -> Option<Vec<u16>> {
        let visible = |visibility: &Visibility| visibility.includes(namespace);
        let mut ports = BTreeSet::new();
        let mut found = false;
        let domain = &self.settings.cluster_domain;
        let host_of =
            |s: &Service| HostPattern::new(&format!("{}.{}.svc.{domain}", s.meta.id.name, s.meta.id.namespace));
        for service in self.services().filter(|service| visible(&service.visibility) && host_of(service) == *host) {
            // An alias has the ports of what it stands for.
            if matches!(service.kind, ServiceKind::ExternalName(_)) && service.ports.is_empty() {
                return Some(Vec::new());
            }
            found = true;
            ports.extend(service.ports.iter().map(|port| port.number));
        }
        for entry in self.entries().filter(|entry| visible(&entry.visibility)) {
            // The analyzer takes a wildcard for every name under it.
            if entry.hosts.iter().any(|own| host.is_subset_of(own)) {
                found = true;
                ports.extend(entry.ports.iter().map(|port| port.number));
            }
        }
        found.then(|| ports.into_iter().collect())
    }
}
