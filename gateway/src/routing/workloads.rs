//! WorkloadEntries as endpoints of the Services that select them (`serviceInstancesFromWorkloadInstances` in istio's
//! pilot/pkg/serviceregistry/kube/controller/controller.go).

use super::{
    clusters::{Candidate, ready},
    place::{Origin, Wanted},
    world::{CompileSettings, Key, World},
};
use crate::model::{
    host::HostPattern,
    object::selects,
    service::{Service, ServiceKind, ServicePort, TargetPort},
    service_entry::{EntryEndpoint, WorkloadEntry},
};
use std::{collections::BTreeSet, sync::Arc};

/// Headless Services are not balanced over workloads, which Kubernetes knows nothing of; an alias has no endpoints.
fn may_select(service: &Service) -> bool {
    service.kind == ServiceKind::Endpoints && !service.is_headless && !service.selector.is_empty()
}

/// Adds the workloads of the Service's namespace that it selects and that are `wanted`.
pub(super) fn add<'w>(
    (namespace, _): &Key,
    service: &Service,
    port: &ServicePort,
    wanted: Wanted<'_>,
    world: &'w World,
    settings: &CompileSettings,
    candidates: &mut Vec<Candidate<'w>>,
) {
    if world.workload_entries.is_empty() || !may_select(service) {
        return;
    }
    let entries = world.workload_entries.range((Arc::clone(namespace), Arc::from(""))..);
    let entries = entries.take_while(|(key, _)| key.0 == *namespace).map(|(_, workload)| &workload.endpoint);
    for endpoint in entries.filter(|endpoint| selects(&service.selector, &endpoint.labels)) {
        let origin = Origin::Entry(endpoint);
        if let (Some(address), Some(number)) = (endpoint.address, number(endpoint, port))
            && wanted.takes(origin, world)
            && settings.address_guard.refuses(address, world).is_none()
        {
            candidates.push(ready(address, number, endpoint.weight, origin));
        }
    }
}

/// The workload's own port of the name of the Service's, or of a target port that is a name; `None` for a name that it does
/// not know (`serviceInstanceFromWorkloadInstance`).
fn number(endpoint: &EntryEndpoint, port: &ServicePort) -> Option<u16> {
    let own = |wanted: &Arc<str>| {
        let named = |(name, _): &&(Arc<str>, u16)| !name.is_empty() && name == wanted;
        endpoint.ports.iter().find(named).map(|(_, number)| *number)
    };
    match &port.target {
        TargetPort::Name(name) => own(name),
        TargetPort::Number(0) => own(&port.name).or(Some(port.number)),
        TargetPort::Number(number) => own(&port.name).or(Some(*number)),
    }
}

/// The hosts of Services of which one of the `versions` of a workload is an endpoint.
pub(super) fn hosts_of(
    versions: [Option<&WorkloadEntry>; 2],
    world: &World,
    settings: &CompileSettings,
) -> BTreeSet<HostPattern> {
    let versions = || versions.iter().copied().flatten();
    let Some(namespace) = versions().next().map(|workload| Arc::clone(&workload.meta.id.namespace)) else {
        return BTreeSet::new();
    };
    let services = world.services.range((Arc::clone(&namespace), Arc::from(""))..);
    let services = services.take_while(|(key, _)| key.0 == namespace);
    let is_selected =
        |service: &Service| versions().any(|workload| selects(&service.selector, &workload.endpoint.labels));
    let selecting = services.filter(|(_, service)| may_select(service) && is_selected(service));
    selecting.map(|(key, _)| settings.service_host(key)).collect()
}
