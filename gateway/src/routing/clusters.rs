//! From a destination to its cluster: service lookup, port, subset, endpoints.

use super::{
    cluster::{Cluster, ClusterName, ClusterState, Endpoint, EndpointSpeech, UnknownCluster},
    dynamic::Dynamic,
    entry_endpoints::{self, Found},
    locality::{Settler, settle},
    place::{Origin, Place, Wanted},
    rules::RulesInForce,
    streams::StreamPolicy,
    traffic::{Members, Memories, Traffic},
    workloads,
    world::{CompileSettings, HashMap, Key, World},
};
use crate::{
    balance::levels::Layout,
    model::{
        export::Visibility,
        host::HostPattern,
        locality_policy::{Failover, LocalityPolicy, TrafficDistribution},
        object::{Labels, selects},
        origination::ClientTls,
        service::{EndpointCondition, Service, ServiceKind, ServicePort, SliceEndpoint, TargetPort},
        service_entry::{Resolution, ServiceEntry},
        traffic_policy::{Algorithm, PolicyBlocks, Speech, TrafficPolicy},
    },
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    sync::{Arc, Weak},
};

/// What a route asks for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ClusterRequest {
    pub(super) host: HostPattern,
    /// `destination.port.number`.
    pub(super) port: Option<u16>,
    /// `port.number` of the Gateway server: the port for a service with several, or an unknown one.
    pub(super) server_port: u16,
    pub(super) subset: Option<Arc<str>>,
    /// The namespace of the VirtualService; decides between ServiceEntries of one host.
    pub(super) from: Arc<str>,
}

/// A resolved request and the hosts whose change makes it stale.
#[derive(Debug)]
pub(super) struct Resolved {
    pub(super) cluster: Cluster,
    pub(super) depends_on: BTreeSet<HostPattern>,
    /// The names that DNS must know.
    pub(super) names: BTreeSet<Arc<str>>,
}

/// What clusters and snapshots share.
#[derive(Debug, Default)]
pub(super) struct Shared {
    endpoints: Endpoints,
    memories: Memories,
}

impl Shared {
    /// Forgets what nobody uses any more.
    pub(super) fn shed(&mut self) {
        self.endpoints.0.retain(|_, endpoint| endpoint.strong_count() > 0);
        self.memories.shed();
    }
}

/// Endpoints by what they are, so that all clusters and snapshots share one.
#[derive(Debug, Default)]
struct Endpoints(HashMap<SocketAddr, Weak<Endpoint>>);

impl Endpoints {
    fn share(&mut self, address: SocketAddr, facts: &Facts) -> Arc<Endpoint> {
        let known = self.0.get(&address).and_then(Weak::upgrade);
        let same = |e: &Arc<Endpoint>| e.pod == facts.pod && e.node == facts.node && e.zone == facts.zone;
        known.filter(same).unwrap_or_else(|| {
            let endpoint = Arc::new(Endpoint {
                address,
                pod: facts.pod.clone(),
                node: facts.node.clone(),
                zone: facts.zone.clone(),
                load: crate::balance::load::Load::default(),
            });
            self.0.insert(address, Arc::downgrade(&endpoint));
            endpoint
        })
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Facts {
    pod: Option<Arc<str>>,
    node: Option<Arc<str>>,
    zone: Option<Arc<str>>,
}

impl Facts {
    fn of(endpoint: &SliceEndpoint) -> Self {
        Self {
            pod: endpoint.pod.as_ref().map(|id| Arc::clone(&id.name)),
            node: endpoint.node.clone(),
            zone: endpoint.zone.clone(),
        }
    }
}

/// An endpoint before it is shared: where, what, and whether it counts.
#[derive(Debug)]
pub(super) struct Candidate<'w> {
    address: SocketAddr,
    facts: Facts,
    condition: EndpointCondition,
    weight: u32,
    origin: Origin<'w>,
}

/// Everything of one name: the Kubernetes Service and the ServiceEntries that pool with it.
#[derive(Debug)]
struct Target<'w> {
    host: HostPattern,
    namespace: Arc<str>,
    service: Option<(Key, &'w Service)>,
    entries: Vec<&'w ServiceEntry>,
}

/// Resolves one request against the current world.
pub(super) fn resolve(
    request: &ClusterRequest,
    world: &World,
    settings: &CompileSettings,
    shared: &mut Shared,
) -> Resolved {
    let mut depends_on = BTreeSet::from([request.host.clone()]);
    let subset = request.subset.clone().unwrap_or_else(|| "".into());
    let named =
        |host: &HostPattern, port: u16| ClusterName { host: host.as_str().into(), port, subset: Arc::clone(&subset) };
    let finish = |name: ClusterName, namespace: &Arc<str>, state: ClusterState, depends_on| {
        let label = name.to_string().into();
        let namespace = Arc::clone(namespace);
        Resolved {
            cluster: Cluster {
                name,
                label,
                namespace,
                state,
                traffic: None,
                hash_key: None,
                is_hashed: false,
                stream: StreamPolicy::default(),
                speaks: EndpointSpeech::default(),
                dynamic: None,
            },
            depends_on,
            names: BTreeSet::new(),
        }
    };
    let unknown = |host: &HostPattern, port, namespace: &Arc<str>, why, depends_on| {
        finish(named(host, port), namespace, ClusterState::Unknown(why), depends_on)
    };

    let Some(target) = find(&request.host, &request.from, world, settings) else {
        let port = request.port.unwrap_or(request.server_port);
        return unknown(&request.host, port, &"".into(), UnknownCluster::Host, depends_on);
    };
    let ports = target.ports();
    let port = request.port.unwrap_or(if let [only] = *ports { only } else { request.server_port });

    // What is said of the route is said of the host as it is written (`HashForHTTPDestination` in istio's route.go).
    let written = RulesInForce::find(&target.host, &target.namespace, world, settings);
    let written_subset = request.subset.as_ref().map(|name| written.subset(name));
    let written_own = written_subset.flatten().and_then(|subset| subset.traffic_policy.as_deref());
    // A route hashes for all of its destinations together, whether each is there or not.
    let hash = TrafficPolicy::hash(written.traffic_policy(), written_own, request.port);
    let (is_hashed, hash_key) = (hash.is_some(), hash.flatten());
    let stream = StreamPolicy::of(written.traffic_policy(), written_subset.map(|_| written_own));

    // An ExternalName service is an alias: the cluster is its target's (`GetDestinationCluster` in istio's route.go).
    let target = match target.alias() {
        None => target,
        Some(alias) => {
            depends_on.insert(alias.clone());
            match find(&alias, &request.from, world, settings) {
                Some(aliased) if aliased.alias().is_none() => aliased,
                _ => {
                    let mut resolved = unknown(&alias, port, &target.namespace, UnknownCluster::Host, depends_on);
                    (resolved.cluster.hash_key, resolved.cluster.stream) = (hash_key, stream);
                    resolved.cluster.is_hashed = is_hashed;
                    return resolved;
                }
            }
        }
    };
    let aliased;
    let rules = if target.host == request.host {
        &written
    } else {
        aliased = RulesInForce::find(&target.host, &target.namespace, world, settings);
        &aliased
    };
    let subset = request.subset.as_ref().and_then(|name| rules.subset(name));
    let (service, own) = (rules.traffic_policy(), subset.and_then(|subset| subset.traffic_policy.as_deref()));
    let missing = |why, depends_on| {
        let mut resolved = unknown(&target.host, port, &target.namespace, why, depends_on);
        resolved.cluster.hash_key.clone_from(&hash_key);
        resolved.cluster.is_hashed = is_hashed;
        resolved.cluster.stream.clone_from(&stream);
        resolved
    };
    if !target.ports().contains(&port) {
        return missing(UnknownCluster::Port, depends_on);
    }
    let is_dynamic = target.is_dynamic();
    // Envoy's dynamic forward proxy has no subsets, and Istio makes none.
    if request.subset.is_some() && (subset.is_none() || is_dynamic) {
        return missing(UnknownCluster::Subset, depends_on);
    }
    let found = target.endpoints(port, Wanted::new(subset.map(|subset| &subset.labels)), world, settings);
    let name = named(&target.host, port);
    if found.is_pending && found.candidates.is_empty() {
        return Resolved { names: found.names, ..missing(UnknownCluster::Resolution, depends_on) };
    }
    let mut policy = TrafficPolicy::effective(service, own, port);
    policy.tls = policy.tls.map(|tls| tls.for_service(&target.alternative_names()));
    let distribution = target.distribution();
    if distribution != TrafficDistribution::Any
        && let Some(outliers) = &mut policy.outlier_detection
    {
        // The endpoints that are not ready are known then, and panic would lead to them.
        outliers.min_health_percent = 0;
    }
    // The address the client asked for is the gateway's: there is no other to pass it through to.
    let passes_through = policy.load_balancer.as_ref().is_some_and(|lb| lb.algorithm == Algorithm::Passthrough);
    let members = if passes_through {
        Members::default()
    } else {
        usable(found.candidates, &policy, distribution, (world, settings), &mut shared.endpoints)
    };
    let speaks = target.speech(port, &policy);
    let begins_tls = policy.tls.as_ref().and_then(ClientTls::origination).is_some();
    let traffic = Traffic::new(&name, policy, &members, &mut shared.memories);
    let endpoints = members.endpoints.into_iter().map(|(endpoint, _)| endpoint).collect();
    let mut resolved = finish(name, &target.namespace, ClusterState::Known(endpoints), depends_on);
    resolved.cluster.traffic = traffic.map(Box::new);
    resolved.cluster.speaks = speaks;
    let guard = &settings.address_guard;
    let dynamic = || Arc::new(Dynamic::new(target.host.clone(), begins_tls, guard, world));
    resolved.cluster.dynamic = is_dynamic.then(dynamic);
    resolved.cluster.hash_key = hash_key;
    resolved.cluster.is_hashed = is_hashed;
    resolved.cluster.stream = stream;
    Resolved { names: found.names, ..resolved }
}

/// Ready endpoints with their weights; those that terminate but still serve when none is ready. Each address once, in order
/// of address within their levels.
fn usable(
    candidates: Vec<Candidate<'_>>,
    policy: &PolicyBlocks,
    distribution: TrafficDistribution,
    (world, settings): (&World, &CompileSettings),
    endpoints: &mut Endpoints,
) -> Members {
    let best = candidates.iter().map(|candidate| candidate.condition).min();
    let is_absent = |candidate: &Candidate<'_>| {
        distribution != TrafficDistribution::Any && candidate.condition == EndpointCondition::NotReady
    };
    let is_usable = |candidate: &Candidate<'_>| candidate.condition.is_usable() && Some(candidate.condition) == best;
    let counted = candidates.into_iter().filter(|candidate| is_usable(candidate) || is_absent(candidate));
    let mut by_address: BTreeMap<SocketAddr, Candidate<'_>> = BTreeMap::new();
    for candidate in counted {
        // One slice may still say of an address what another says no more.
        if by_address.get(&candidate.address).is_none_or(|known| candidate.condition <= known.condition) {
            by_address.insert(candidate.address, candidate);
        }
    }
    let from_service = distribution.policy();
    let given = policy.load_balancer.as_ref().and_then(|balancer| balancer.locality.as_ref()).or(from_service.as_ref());
    let is_watched = policy.outlier_detection.is_some();
    // Of the mesh: the nearest first.
    let mesh = LocalityPolicy::Failover(Failover::default());
    let acting = match given {
        None if is_watched => &mesh,
        None | Some(LocalityPolicy::Off) => &LocalityPolicy::Off,
        Some(LocalityPolicy::Failover(failover)) if !failover.is_forced && !is_watched => &LocalityPolicy::Off,
        Some(given) => given,
    };
    if *acting == LocalityPolicy::Off {
        let usable = by_address.values().filter(|candidate| candidate.condition.is_usable());
        let shared = usable.map(|found| (endpoints.share(found.address, &found.facts), found.weight));
        return Members { endpoints: shared.collect(), layout: Layout::default() };
    }
    let settlers = by_address.values().map(|found| Settler {
        endpoint: found.condition.is_usable().then(|| endpoints.share(found.address, &found.facts)),
        place: Place::of(found.origin, world),
        weight: found.weight,
    });
    let (endpoints, layout) = settle(settlers.collect(), acting, &Place::of_gateway(world, settings));
    Members { endpoints, layout }
}

/// The service of a host. A Service and the ServiceEntries of its own namespace pool their endpoints; entries elsewhere
/// do not count then. Of entries in several namespaces the VirtualService's own come first, else the oldest.
fn find<'w>(host: &HostPattern, from: &Arc<str>, world: &'w World, settings: &CompileSettings) -> Option<Target<'w>> {
    let visible = |visibility: &Visibility| visibility.includes(&settings.gateway_namespace);
    let key = settings.service_key(host.as_str());
    let service =
        key.and_then(|key| world.services.get_key_value(&key)).filter(|(_, service)| visible(&service.visibility));
    let entries: Vec<&ServiceEntry> = world
        .entries_by_host
        .get(host)
        .into_iter()
        .flat_map(BTreeMap::values)
        .map(|entry| &**entry)
        .filter(|entry| visible(&entry.visibility))
        .collect();
    let namespace = match service {
        Some((key, _)) => Arc::clone(&key.0),
        None => {
            let own = entries.iter().find(|entry| entry.meta.id.namespace == *from);
            Arc::clone(&own.or_else(|| entries.first())?.meta.id.namespace)
        }
    };
    let entries = entries.into_iter().filter(|entry| entry.meta.id.namespace == namespace).collect();
    Some(Target { host: host.clone(), namespace, service: service.map(|(key, s)| (key.clone(), &**s)), entries })
}

impl Target<'_> {
    fn alias(&self) -> Option<HostPattern> {
        match &self.service.as_ref()?.1.kind {
            ServiceKind::ExternalName(host) => Some(HostPattern::new(host)),
            ServiceKind::Endpoints => None,
        }
    }

    /// Whether each request says where it goes: the oldest entry decides, as in Istio.
    fn is_dynamic(&self) -> bool {
        let entry = self.entries.first().filter(|_| self.service.is_none() && self.host.is_wildcard());
        entry.is_some_and(|entry| entry.resolution == Resolution::DynamicDns)
    }

    /// Names in the certificates of its endpoints. Istio knows none of a Service of Kubernetes outside of a mesh.
    fn alternative_names(&self) -> Vec<Arc<str>> {
        let entries = self.entries.iter().filter(|_| self.service.is_none());
        entries.flat_map(|entry| entry.alternative_names.iter().cloned()).collect()
    }

    /// Service port numbers, each once.
    fn ports(&self) -> Vec<u16> {
        let service = self.service.iter().flat_map(|(_, service)| service.ports.iter().map(|port| port.number));
        let entries = self.entries.iter().flat_map(|entry| entry.ports.iter().map(|port| port.number));
        let numbers: BTreeSet<u16> = service.chain(entries).collect();
        numbers.into_iter().collect()
    }

    /// What is spoken to the endpoints of `port`. The Service decides where a ServiceEntry has the port too.
    fn speech(&self, port: u16, policy: &PolicyBlocks) -> EndpointSpeech {
        match policy.connection_pool.as_ref().map(|pool| pool.speech).unwrap_or_default() {
            Speech::AsClient => EndpointSpeech::AsClient,
            Speech::Http2(_) => EndpointSpeech::Http2,
            Speech::AsPortSays => {
                let service = self.service.iter().flat_map(|(_, service)| service.ports.iter());
                let of_service = service.map(|port| (port.number, &port.protocol_hint));
                let entries = self.entries.iter().flat_map(|entry| entry.ports.iter());
                let of_entries = entries.map(|port| (port.number, &port.protocol_hint));
                let hint = of_service.chain(of_entries).find(|(number, _)| *number == port);
                // `Instance.IsHTTP2` in istio/pkg/config/protocol/instance.go.
                let is_http2 = hint.is_some_and(|(_, hint)| matches!(&**hint, "http2" | "grpc" | "grpc-web"));
                if is_http2 { EndpointSpeech::Http2 } else { EndpointSpeech::Http1 }
            }
        }
    }

    /// `trafficDistribution` of the Service; of entries alone, the first one's annotation.
    fn distribution(&self) -> TrafficDistribution {
        let of_entry = || self.entries.first().map(|entry| entry.distribution).unwrap_or_default();
        self.service.as_ref().map_or_else(of_entry, |(_, service)| service.distribution)
    }

    /// Every endpoint of the port that is `wanted`.
    fn endpoints<'w>(&self, port: u16, wanted: Wanted<'_>, world: &'w World, settings: &CompileSettings) -> Found<'w>
    where
        Self: 'w,
    {
        let mut found = Found::default();
        if let Some((key, service)) = &self.service
            && let Some(port) = service.ports.iter().find(|p| p.number == port)
        {
            from_slices(key, port, wanted, world, &mut found.candidates);
            if !world.slices.contains_key(key) && !service.selector.is_empty() {
                from_pods(&key.0, &service.selector, wanted, &port.target, port.number, world, &mut found.candidates);
            }
            workloads::add(key, service, port, wanted, world, settings, &mut found.candidates);
            if service.node_local {
                let here = Some(&settings.node);
                found.candidates.retain(|candidate| candidate.facts.node.as_ref() == here);
            }
        }
        for entry in &self.entries {
            if let Some(port) = entry.ports.iter().find(|p| p.number == port) {
                entry_endpoints::add(entry, &self.host, port, wanted, world, settings, &mut found);
            }
        }
        found
    }
}

fn from_slices<'w>(
    service: &Key,
    port: &ServicePort,
    wanted: Wanted<'_>,
    world: &'w World,
    candidates: &mut Vec<Candidate<'w>>,
) {
    for slice in world.slices.get(service).into_iter().flat_map(BTreeMap::values) {
        // The port's name joins Service and slice (KEP-752).
        let Some(number) = slice.ports.iter().find(|p| p.name == port.name).map(|p| p.number) else { continue };
        for endpoint in &slice.endpoints {
            let origin = Origin::Slice(endpoint);
            if !wanted.takes(origin, world) {
                continue;
            }
            let facts = Facts::of(endpoint);
            // Every address of an endpoint is the same backend; consumers take the first (EndpointSlice API).
            if let Some(&ip) = endpoint.addresses.first() {
                candidates.push(Candidate {
                    address: SocketAddr::new(ip, number),
                    facts,
                    condition: endpoint.condition,
                    weight: 1,
                    origin,
                });
            }
        }
    }
}

/// What an EndpointSlice controller would make of the pods. Pods read from files carry addresses; of those in a cluster only
/// the metadata is watched, and their addresses are in the EndpointSlices of the Services they stand behind.
pub(super) fn from_pods<'w>(
    namespace: &Arc<str>,
    selector: &Labels,
    wanted: Wanted<'_>,
    target: &TargetPort,
    fallback: u16,
    world: &'w World,
    candidates: &mut Vec<Candidate<'w>>,
) {
    let pods = world.pods.range((Arc::clone(namespace), Arc::from(""))..).take_while(|(key, _)| key.0 == *namespace);
    let selected = pods.map(|(_, pod)| pod).filter(|pod| selects(selector, &pod.labels));
    let mut in_slices = None;
    for pod in selected {
        let Some(address) = &pod.address else {
            let known = in_slices.get_or_insert_with(|| endpoints_by_pod(namespace, world));
            // A name is one of the pod's container ports, which metadata does not tell.
            if let (Some(&endpoint), TargetPort::Number(number)) = (known.get(&*pod.meta.id.name), target)
                && let Some(&ip) = endpoint.addresses.first()
                && wanted.takes(Origin::Slice(endpoint), world)
            {
                candidates.push(Candidate {
                    address: SocketAddr::new(ip, if *number == 0 { fallback } else { *number }),
                    facts: Facts::of(endpoint),
                    condition: endpoint.condition,
                    weight: 1,
                    origin: Origin::Slice(endpoint),
                });
            }
            continue;
        };
        let origin = Origin::Pod(pod);
        if !wanted.takes(origin, world) {
            continue;
        }
        let number = match target {
            TargetPort::Number(0) => fallback,
            TargetPort::Number(number) => *number,
            TargetPort::Name(name) => match address.ports.iter().find(|port| port.name == *name) {
                Some(port) => port.number,
                None => continue,
            },
        };
        let condition = if address.ready { EndpointCondition::Ready } else { EndpointCondition::NotReady };
        let facts = Facts { pod: Some(Arc::clone(&pod.meta.id.name)), node: address.node.clone(), zone: None };
        candidates.extend(address.addresses.first().map(|&ip| Candidate {
            address: SocketAddr::new(ip, number),
            facts,
            condition,
            weight: 1,
            origin,
        }));
    }
}

/// What the EndpointSlices of a namespace say of each pod; of several the first.
fn endpoints_by_pod<'w>(namespace: &Arc<str>, world: &'w World) -> BTreeMap<&'w str, &'w SliceEndpoint> {
    let mut by_pod = BTreeMap::new();
    let slices =
        world.slices.range((Arc::clone(namespace), Arc::from(""))..).take_while(|(key, _)| key.0 == *namespace);
    for endpoint in slices.flat_map(|(_, slices)| slices.values()).flat_map(|slice| &slice.endpoints) {
        if let Some(pod) = &endpoint.pod {
            by_pod.entry(&*pod.name).or_insert(endpoint);
        }
    }
    by_pod
}

pub(super) fn ready(ip: IpAddr, port: u16, weight: u32, origin: Origin<'_>) -> Candidate<'_> {
    let condition = EndpointCondition::Ready;
    Candidate { address: SocketAddr::new(ip, port), facts: Facts::default(), condition, weight, origin }
}
