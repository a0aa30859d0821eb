//! The endpoints of a ServiceEntry: addresses, and names that DNS knows the addresses of
//! (`convertServiceEntryToInstances` in istio/pilot/pkg/serviceregistry/serviceentry/conversion.go).

use super::{
    clusters::{Candidate, from_pods, ready},
    names::NameState,
    place::{Origin, Wanted},
    world::{CompileSettings, World},
};
use crate::model::{
    host::HostPattern,
    object::selects,
    problem::{Problem, ProblemKind, Severity},
    service::TargetPort,
    service_entry::{EntryEndpoint, EntryPort, Resolution, ServiceEntry},
};
use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

/// What has been found of the endpoints of one cluster.
#[derive(Debug, Default)]
pub(super) struct Found<'w> {
    pub(super) candidates: Vec<Candidate<'w>>,
    /// Names that the cluster depends on.
    pub(super) names: BTreeSet<Arc<str>>,
    /// Whether some entry has endpoints by name only, and none that has been answered for yet.
    pub(super) is_pending: bool,
}

/// Adds the endpoints of `entry` behind `port` that are `wanted`.
pub(super) fn add<'w>(
    entry: &'w ServiceEntry,
    host: &HostPattern,
    port: &EntryPort,
    wanted: Wanted<'_>,
    world: &'w World,
    settings: &CompileSettings,
    found: &mut Found<'w>,
) {
    let mut leads_to = |address: IpAddr, port: u16, weight: u32, origin: Origin<'w>| {
        if settings.address_guard.refuses(address, world).is_none() {
            found.candidates.push(ready(address, port, weight, origin));
        }
    };
    let selected = entry.endpoints.iter().filter(|endpoint| wanted.takes(Origin::Entry(endpoint), world));
    match entry.resolution {
        // There is no original destination at a gateway, and the name of a request is no address yet.
        Resolution::None | Resolution::DynamicDns => {}
        Resolution::Static => {
            for endpoint in selected {
                if let Some(address) = endpoint.address {
                    leads_to(address, entry_port(endpoint, port), endpoint.weight, Origin::Entry(endpoint));
                }
            }
            for endpoint in workloads(entry, world).filter(|endpoint| wanted.takes(Origin::Entry(endpoint), world)) {
                if let Some(address) = endpoint.address {
                    leads_to(address, entry_port(endpoint, port), endpoint.weight, Origin::Entry(endpoint));
                }
            }
            if let Some(selector) = &entry.workload_selector {
                let namespace = &entry.meta.id.namespace;
                from_pods(namespace, selector, wanted, &port.target, port.number, world, &mut found.candidates);
            }
        }
        Resolution::Dns | Resolution::DnsRoundRobin => {
            let is_round_robin = entry.resolution == Resolution::DnsRoundRobin;
            let is_alone = entry.endpoints.is_empty() && entry.workload_selector.is_none();
            let own_name = is_alone.then(|| host.shared());
            let own = own_name.into_iter().filter(|_| wanted.wants_all());
            let own = own.map(|name| (Ok(name), target_port(port), 1, Origin::Name));
            let workloads = workloads(entry, world).filter(|endpoint| wanted.takes(Origin::Entry(endpoint), world));
            let given = selected.chain(workloads).filter_map(|endpoint| {
                let place = match (&endpoint.name, endpoint.address) {
                    (Some(name), _) => Ok(Arc::clone(name)),
                    (None, Some(address)) => Err(address),
                    (None, None) => return None,
                };
                Some((place, entry_port(endpoint, port), endpoint.weight, Origin::Entry(endpoint)))
            });
            let mut pods = Vec::new();
            if let Some(selector) = &entry.workload_selector {
                let namespace = &entry.meta.id.namespace;
                from_pods(namespace, selector, wanted, &port.target, port.number, world, &mut pods);
            }
            // Envoy's cluster may have one endpoint; Istio takes the first, and pods come before workloads of other kinds
            // (`mergeServicesInstancesByNamespaceHost`).
            let most = if is_round_robin { usize::from(pods.is_empty()) } else { usize::MAX };
            if is_round_robin {
                pods.truncate(1);
            }
            let mut answered = !pods.is_empty();
            for (place, number, weight, origin) in own.chain(given).take(most) {
                let name = match place {
                    Err(address) => {
                        answered = true;
                        leads_to(address, number, weight, origin);
                        continue;
                    }
                    Ok(name) => name,
                };
                if let Some(NameState { addresses, first, .. }) = world.names.get(&name) {
                    answered = true;
                    let all = if is_round_robin { first.as_slice() } else { addresses };
                    all.iter().for_each(|address| leads_to(*address, number, weight, origin));
                }
                found.names.insert(name);
            }
            // Envoy's cluster is there once one of its names has been answered for, with addresses or without. Without a
            // name Istio makes none, as for a subset that no endpoint is in.
            found.is_pending |= !answered;
            found.candidates.extend(pods);
        }
    }
}

/// The WorkloadEntries that `entry` selects, in the order of their names.
fn workloads<'w>(entry: &'w ServiceEntry, world: &'w World) -> impl Iterator<Item = &'w EntryEndpoint> {
    let namespace = &entry.meta.id.namespace;
    let selecting = entry.workload_selector.as_ref().into_iter();
    selecting.flat_map(move |selector| {
        let all = world.workload_entries.range((Arc::clone(namespace), Arc::from(""))..);
        let own = all.take_while(move |(key, _)| key.0 == *namespace).map(|(_, workload)| &workload.endpoint);
        own.filter(move |endpoint| selects(selector, &endpoint.labels))
    })
}

/// `endpoint.ports[name]`, else `targetPort`, else the number.
fn entry_port(endpoint: &EntryEndpoint, port: &EntryPort) -> u16 {
    let own = endpoint.ports.iter().find(|(name, _)| *name == port.name).map(|(_, number)| *number);
    own.unwrap_or_else(|| target_port(port))
}

fn target_port(port: &EntryPort) -> u16 {
    match port.target {
        TargetPort::Number(number) if number > 0 => number,
        TargetPort::Number(_) | TargetPort::Name(_) => port.number,
    }
}

/// Endpoints that are left out because of where they lead, and names that cannot be resolved.
pub(super) fn problems(world: &World, settings: &CompileSettings, problems: &mut Vec<Problem>) {
    for workload in world.workload_entries.values() {
        let refused = workload
            .endpoint
            .address
            .and_then(|address| Some((address, settings.address_guard.refuses(address, world)?)));
        problems.extend(refused.map(|(address, what)| Problem {
            object: Some(workload.meta.id.clone()),
            source: workload.meta.source.clone(),
            path: "spec.address".to_owned(),
            severity: Severity::Error,
            kind: ProblemKind::Refused,
            message: refusal(address, what),
        }));
    }
    for entry in world.service_entries.values() {
        let is_dns = matches!(entry.resolution, Resolution::Dns | Resolution::DnsRoundRobin);
        let mut say = |path: String, severity: Severity, kind: ProblemKind, message: String| {
            let (object, source) = (Some(entry.meta.id.clone()), entry.meta.source.clone());
            problems.push(Problem { object, source, path, severity, kind, message });
        };
        let mut look_at = |path: String, name: &str| {
            let Some(state) = world.names.get(name) else { return };
            if let Some(reason) = &state.trouble {
                let stays =
                    if state.addresses.is_empty() { "it has no endpoints" } else { "its last addresses stay in use" };
                let message = format!("{name} cannot be resolved: {reason}; {stays}");
                say(path.clone(), Severity::Warning, ProblemKind::Node, message);
            }
            for address in state.addresses.iter() {
                if let Some(what) = settings.address_guard.refuses(*address, world) {
                    let message = format!("{name} resolves to {}", refusal(*address, what));
                    say(path.clone(), Severity::Error, ProblemKind::Refused, message);
                }
            }
        };
        for endpoint in &entry.endpoints {
            if let Some(name) = endpoint.name.as_ref().filter(|_| is_dns) {
                look_at(format!("spec.endpoints[{}].address", endpoint.index), name);
            }
        }
        for name in workloads(entry, world).filter_map(|endpoint| endpoint.name.as_ref()).filter(|_| is_dns) {
            look_at("spec.workloadSelector".to_owned(), name);
        }
        if is_dns && entry.endpoints.is_empty() && entry.workload_selector.is_none() {
            for (index, host) in entry.hosts.iter().enumerate() {
                look_at(format!("spec.hosts[{index}]"), host.as_str());
            }
        }
        for endpoint in &entry.endpoints {
            let refused = endpoint.address.and_then(|a| Some((a, settings.address_guard.refuses(a, world)?)));
            if let Some((address, what)) = refused {
                let path = format!("spec.endpoints[{}].address", endpoint.index);
                say(path, Severity::Error, ProblemKind::Refused, refusal(address, what));
            }
        }
    }
}

fn refusal(address: IpAddr, what: &str) -> String {
    format!("{address} is {what}: no ServiceEntry may lead there, and it is left out; --allow-addresses allows it")
}
