//! The current inputs, and the questions compilation asks of them.

use super::{
    address_guard::AddressGuard,
    names::{NameAnswer, NameState},
    workloads,
};
use crate::model::{
    destination_rule::DestinationRule,
    gateway::Gateway,
    host::HostPattern,
    object::{Kind, Labels, ObjectId, OrderKey},
    resource::Resource,
    service::{EndpointSlice, Node, Pod, Service},
    service_entry::{ServiceEntry, WorkloadEntry},
    virtual_service::VirtualService,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

/// What compilation depends on besides the objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompileSettings {
    /// The labels of this gateway's pods: which Gateways are ours, and what `sourceLabels` is compared with.
    pub gateway_labels: Labels,
    /// Labels of further gateways that this one is as well, each behind a Service of its own that carries them, such as
    /// Istio's egress gateway.
    pub roles: Vec<Labels>,
    pub gateway_namespace: Arc<str>,
    pub root_namespace: Arc<str>,
    pub cluster_domain: Arc<str>,
    /// `--port-map`: Gateway port → bound port, before any Service is asked.
    pub port_map: BTreeMap<u16, u16>,
    /// The node this gateway is on; empty when that makes no difference.
    pub node: Arc<str>,
    /// Where ServiceEntries may not lead.
    pub address_guard: AddressGuard,
}

impl Default for CompileSettings {
    /// Istio's own ingress gateway: what the command line assumes too.
    fn default() -> Self {
        Self {
            gateway_labels: [("istio".into(), "ingressgateway".into())].into(),
            roles: Vec::new(),
            gateway_namespace: "istio-system".into(),
            root_namespace: "istio-system".into(),
            cluster_domain: "cluster.local".into(),
            port_map: BTreeMap::new(),
            node: "".into(),
            address_guard: AddressGuard::default(),
        }
    }
}

/// A map for keys that need no order; the same order every time, all the same.
pub(super) type HashMap<K, V> = hashbrown::HashMap<K, V, foldhash::fast::FixedState>;
pub(super) type IndexMap<K, V> = indexmap::IndexMap<K, V, foldhash::fast::FixedState>;
pub(super) type IndexSet<K> = indexmap::IndexSet<K, foldhash::fast::FixedState>;

/// The Service of the API server, in namespace `default`.
const API_SERVER: &str = "kubernetes";

/// Namespace and name.
pub(super) type Key = (Arc<str>, Arc<str>);

/// Every object, by kind.
#[derive(Debug, Default)]
pub struct World {
    pub(super) gateways: BTreeMap<ObjectId, Arc<Gateway>>,
    /// In the order of their coming, which is the order of their memory: a full compilation walks through all of it.
    pub(super) virtual_services: IndexMap<ObjectId, Arc<VirtualService>>,
    pub(super) destination_rules: BTreeMap<ObjectId, Arc<DestinationRule>>,
    pub(super) services: BTreeMap<Key, Arc<Service>>,
    /// By service, then by name of the slice.
    pub(super) slices: BTreeMap<Key, BTreeMap<Arc<str>, Arc<EndpointSlice>>>,
    /// The service of each slice, to find it when it goes.
    slice_services: BTreeMap<ObjectId, Key>,
    pub(super) pods: BTreeMap<Key, Arc<Pod>>,
    pub(super) nodes: BTreeMap<Arc<str>, Node>,
    pub(super) service_entries: BTreeMap<ObjectId, Arc<ServiceEntry>>,
    pub(super) workload_entries: BTreeMap<Key, Arc<WorkloadEntry>>,
    /// Which entries have a host, in Istio's order.
    pub(super) entries_by_host: BTreeMap<HostPattern, BTreeMap<OrderKey, Arc<ServiceEntry>>>,
    /// DestinationRules by namespace and host, in Istio's order.
    pub(super) rules_by_host: BTreeMap<(Arc<str>, HostPattern), BTreeMap<OrderKey, Arc<DestinationRule>>>,
    /// The names that DNS has been asked for.
    pub(super) names: BTreeMap<Arc<str>, NameState>,
}

/// What an object's coming, changing or going touches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Touched {
    Nothing,
    /// The listeners may change: everything on the routing side is due.
    Listeners,
    VirtualService(ObjectId),
    /// Clusters of these hosts.
    Hosts(BTreeSet<HostPattern>),
    /// Both.
    ListenersAndHosts(BTreeSet<HostPattern>),
}

impl World {
    /// Takes in a new or changed object.
    pub(super) fn put(&mut self, resource: Resource, settings: &CompileSettings) -> Touched {
        match resource {
            Resource::Gateway(gateway) => {
                self.gateways.insert(gateway.meta.id.clone(), Arc::new(gateway));
                Touched::Listeners
            }
            Resource::VirtualService(service) => {
                let id = service.meta.id.clone();
                self.virtual_services.insert(id.clone(), Arc::new(service));
                Touched::VirtualService(id)
            }
            Resource::DestinationRule(rule) => {
                let mut hosts = self.forget_rule(&rule.meta.id);
                hosts.insert(rule.host.clone());
                let rule = Arc::new(rule);
                let place = (Arc::clone(&rule.meta.id.namespace), rule.host.clone());
                self.rules_by_host.entry(place).or_default().insert(rule.meta.order(), Arc::clone(&rule));
                self.destination_rules.insert(rule.meta.id.clone(), rule);
                Touched::Hosts(hosts)
            }
            Resource::ServiceEntry(entry) => {
                let mut hosts = self.forget_entry(&entry.meta.id);
                let entry = Arc::new(entry);
                for host in &entry.hosts {
                    self.entries_by_host
                        .entry(host.clone())
                        .or_default()
                        .insert(entry.meta.order(), Arc::clone(&entry));
                    hosts.insert(host.clone());
                }
                self.service_entries.insert(entry.meta.id.clone(), entry);
                Touched::Hosts(hosts)
            }
            Resource::WorkloadEntry(workload) => {
                let key = key_of(&workload.meta.id);
                let workload = Arc::new(workload);
                let before = self.workload_entries.insert(key.clone(), Arc::clone(&workload));
                let mut hosts = workloads::hosts_of([Some(&*workload), before.as_deref()], self, settings);
                hosts.extend(self.selecting_hosts(&key.0));
                Touched::Hosts(hosts)
            }
            Resource::Service(service) => {
                let key = key_of(&service.meta.id);
                let hosts = BTreeSet::from([settings.service_host(&key)]);
                let fronts = settings.fronts_gateway(&service);
                let before = self.services.insert(key, Arc::new(service));
                touched_service(fronts || before.is_some_and(|before| settings.fronts_gateway(&before)), hosts)
            }
            Resource::EndpointSlice(slice) => {
                let mut hosts = self.forget_slice(&slice.meta.id, settings);
                let key = (Arc::clone(&slice.meta.id.namespace), Arc::clone(&slice.service));
                hosts.insert(settings.service_host(&key));
                hosts.extend(self.selecting_hosts(&key.0));
                if (&*key.0, &*key.1) == ("default", API_SERVER) {
                    // Where no entry may lead has changed.
                    hosts.extend(self.entries_by_host.keys().cloned());
                    let workloads = self.workload_entries.values();
                    hosts.extend(workloads.flat_map(|one| workloads::hosts_of([Some(one), None], self, settings)));
                }
                self.slice_services.insert(slice.meta.id.clone(), key.clone());
                self.slices.entry(key.clone()).or_default().insert(Arc::clone(&slice.meta.id.name), Arc::new(slice));
                self.touched_endpoints(&key, hosts, settings)
            }
            Resource::Node(node) => {
                let name = Arc::clone(&node.meta.id.name);
                let locality = node.locality.clone();
                // Nodes report in often, too.
                match self.nodes.insert(Arc::clone(&name), node) {
                    Some(before) if before.locality == locality => Touched::Nothing,
                    _ => Touched::Hosts(self.hosts_of_node(&name, settings)),
                }
            }
            Resource::Pod(pod) => {
                let key = key_of(&pod.meta.id);
                let pod = Arc::new(pod);
                match self.pods.insert(key.clone(), Arc::clone(&pod)) {
                    // Pods report in often; only what routing reads is a change.
                    Some(before) if before.labels == pod.labels && before.address == pod.address => Touched::Nothing,
                    before => Touched::Hosts(self.hosts_of_pod(&key, [Some(&*pod), before.as_deref()], settings)),
                }
            }
        }
    }

    /// Forgets an object; one that is not there touches nothing.
    pub(super) fn remove(&mut self, id: &ObjectId, settings: &CompileSettings) -> Touched {
        match id.kind {
            Kind::Gateway => self.gateways.remove(id).map_or(Touched::Nothing, |_| Touched::Listeners),
            Kind::VirtualService => {
                self.virtual_services.swap_remove(id).map_or(Touched::Nothing, |_| Touched::VirtualService(id.clone()))
            }
            Kind::DestinationRule => Touched::Hosts(self.forget_rule(id)),
            Kind::ServiceEntry => Touched::Hosts(self.forget_entry(id)),
            Kind::WorkloadEntry => match self.workload_entries.remove(&key_of(id)) {
                Some(workload) => {
                    let mut hosts = workloads::hosts_of([Some(&*workload), None], self, settings);
                    hosts.extend(self.selecting_hosts(&id.namespace));
                    Touched::Hosts(hosts)
                }
                None => Touched::Nothing,
            },
            Kind::Service => {
                let key = key_of(id);
                self.services.remove(&key).map_or(Touched::Nothing, |service| {
                    touched_service(settings.fronts_gateway(&service), BTreeSet::from([settings.service_host(&key)]))
                })
            }
            Kind::EndpointSlice => {
                let service = self.slice_services.get(id).cloned();
                let hosts = self.forget_slice(id, settings);
                service.map_or(Touched::Nothing, |key| self.touched_endpoints(&key, hosts, settings))
            }
            // Is no part of the table.
            Kind::Secret => Touched::Nothing,
            Kind::Node => match self.nodes.remove(&id.name) {
                Some(_) => Touched::Hosts(self.hosts_of_node(&id.name, settings)),
                None => Touched::Nothing,
            },
            Kind::Pod => {
                let key = key_of(id);
                let gone = self.pods.remove(&key);
                Touched::Hosts(self.hosts_of_pod(&key, [gone.as_deref(), None], settings))
            }
        }
    }

    /// Takes in what DNS says. Returns whether endpoints may have changed.
    pub(super) fn answer(&mut self, name: &Arc<str>, answer: NameAnswer) -> bool {
        let before = self.names.get(name);
        let after = NameState::after(before, answer);
        let changed = before.is_none_or(|before| before.addresses != after.addresses || before.first != after.first);
        self.names.insert(Arc::clone(name), after);
        changed
    }

    /// The addresses behind the Service of the API server.
    pub(super) fn api_servers(&self) -> impl Iterator<Item = IpAddr> {
        let slices = self.slices.get(&(Arc::from("default"), Arc::from(API_SERVER)));
        let endpoints = slices.into_iter().flat_map(BTreeMap::values).flat_map(|slice| &slice.endpoints);
        endpoints.flat_map(|endpoint| endpoint.addresses.iter().copied())
    }

    fn forget_rule(&mut self, id: &ObjectId) -> BTreeSet<HostPattern> {
        let Some(rule) = self.destination_rules.remove(id) else { return BTreeSet::new() };
        let place = (Arc::clone(&id.namespace), rule.host.clone());
        forget(&mut self.rules_by_host, &place, &rule.meta.order());
        BTreeSet::from([rule.host.clone()])
    }

    fn forget_entry(&mut self, id: &ObjectId) -> BTreeSet<HostPattern> {
        let Some(entry) = self.service_entries.remove(id) else { return BTreeSet::new() };
        for host in &entry.hosts {
            forget(&mut self.entries_by_host, host, &entry.meta.order());
        }
        entry.hosts.iter().cloned().collect()
    }

    fn forget_slice(&mut self, id: &ObjectId, settings: &CompileSettings) -> BTreeSet<HostPattern> {
        let Some(key) = self.slice_services.remove(id) else { return BTreeSet::new() };
        forget(&mut self.slices, &key, &id.name);
        self.selecting_hosts(&key.0).chain([settings.service_host(&key)]).collect()
    }

    /// The hosts of ServiceEntries that select pods of `namespace`, whose addresses are in slices.
    fn selecting_hosts(&self, namespace: &str) -> impl Iterator<Item = HostPattern> {
        let entries = self.service_entries.values().filter(move |entry| *entry.meta.id.namespace == *namespace);
        entries.filter(|entry| entry.workload_selector.is_some()).flat_map(|entry| entry.hosts.iter().cloned())
    }

    /// A slice of a Service in front of the gateway itself tells what number a named target port is.
    fn touched_endpoints(&self, service: &Key, hosts: BTreeSet<HostPattern>, settings: &CompileSettings) -> Touched {
        let named = |service: &Arc<Service>| {
            settings.fronts_gateway(service)
                && service.ports.iter().any(|port| matches!(port.target, crate::model::service::TargetPort::Name(_)))
        };
        touched_service(self.services.get(service).is_some_and(named), hosts)
    }

    /// The hosts some of whose endpoints are on a node; all of them for the gateway's own.
    fn hosts_of_node(&self, node: &Arc<str>, settings: &CompileSettings) -> BTreeSet<HostPattern> {
        if *node == settings.node {
            return BTreeSet::from([HostPattern::new("*")]);
        }
        let is_there = |slice: &Arc<EndpointSlice>| slice.endpoints.iter().any(|e| e.node.as_ref() == Some(node));
        let of_slices = self.slices.iter().filter(|(_, slices)| slices.values().any(is_there));
        let mut hosts: BTreeSet<HostPattern> = of_slices.map(|(key, _)| settings.service_host(key)).collect();
        // The pods that entries select may be anywhere, and those that were read from files are in no slice.
        let selecting = self.service_entries.values().filter(|entry| entry.workload_selector.is_some());
        hosts.extend(selecting.flat_map(|entry| entry.hosts.iter().cloned()));
        let address = |pod: &Pod| pod.address.as_ref().is_some_and(|address| address.node.as_ref() == Some(node));
        let pods = self.pods.iter().filter(|(_, pod)| address(pod));
        hosts.extend(pods.flat_map(|(key, pod)| self.hosts_of_pod(key, [Some(&**pod), None], settings)));
        hosts
    }

    /// The hosts whose endpoints a pod may be: by the slices that name it, by the selectors of ServiceEntries, and, for
    /// pods that carry an address, by the selectors of Services.
    fn hosts_of_pod(
        &self,
        pod: &Key,
        versions: [Option<&Pod>; 2],
        settings: &CompileSettings,
    ) -> BTreeSet<HostPattern> {
        let in_namespace = (Arc::clone(&pod.0), Arc::from(""))..;
        let mut hosts = BTreeSet::new();
        for (key, slices) in self.slices.range(in_namespace.clone()).take_while(|(key, _)| key.0 == pod.0) {
            let named = slices.values().flat_map(|slice| &slice.endpoints).filter_map(|endpoint| endpoint.pod.as_ref());
            if named.into_iter().any(|id| id.name == pod.1) {
                hosts.insert(settings.service_host(key));
            }
        }
        let versions = || versions.into_iter().flatten();
        if versions().any(|pod| pod.address.is_some()) {
            for (key, service) in self.services.range(in_namespace).take_while(|(key, _)| key.0 == pod.0) {
                let selected = |pod: &Pod| crate::model::object::selects(&service.selector, &pod.labels);
                if !service.selector.is_empty() && versions().any(selected) {
                    hosts.insert(settings.service_host(key));
                }
            }
        }
        hosts.extend(self.selecting_hosts(&pod.0));
        hosts
    }
}

impl CompileSettings {
    /// The host name of a Kubernetes Service: `reviews.default.svc.cluster.local`.
    pub(super) fn service_host(&self, (namespace, name): &Key) -> HostPattern {
        HostPattern::new(&format!("{name}.{namespace}.svc.{}", self.cluster_domain))
    }

    /// Namespace and name of the Service a host names, if it has the form of one.
    pub(super) fn service_key(&self, host: &str) -> Option<Key> {
        let rest = host.strip_suffix(&*self.cluster_domain)?.strip_suffix(".svc.")?;
        let (name, namespace) = rest.split_once('.')?;
        (!namespace.contains('.')).then(|| (namespace.into(), name.into()))
    }

    /// The labels of every gateway that this one is: its pods' first.
    pub(super) fn all_roles(&self) -> impl Iterator<Item = &Labels> {
        std::iter::once(&self.gateway_labels).chain(&self.roles)
    }

    /// Whether the Service leads to this gateway as the one with the labels `role`: it selects the gateway's pods, and
    /// carries these labels, or, for the pods' own, those of no other role.
    pub(super) fn fronts_role(&self, service: &Service, role: &Labels) -> bool {
        let mut claims = self.roles.iter().filter(|role| crate::model::object::selects(role, &service.labels));
        let is_own = *role == self.gateway_labels;
        self.fronts_gateway(service) && if is_own { claims.next().is_none() } else { claims.any(|claim| claim == role) }
    }

    /// Whether the Service selects the gateway's own pods.
    pub(super) fn fronts_gateway(&self, service: &Service) -> bool {
        *service.meta.id.namespace == *self.gateway_namespace
            && !service.selector.is_empty()
            && crate::model::object::selects(&service.selector, &self.gateway_labels)
    }
}

pub(super) fn key_of(id: &ObjectId) -> Key {
    (Arc::clone(&id.namespace), Arc::clone(&id.name))
}

fn touched_service(listeners: bool, hosts: BTreeSet<HostPattern>) -> Touched {
    if listeners { Touched::ListenersAndHosts(hosts) } else { Touched::Hosts(hosts) }
}

/// Takes `inner` out of the group `outer`, and the group away when that was its last.
fn forget<O: Ord, I: Ord, V>(groups: &mut BTreeMap<O, BTreeMap<I, V>>, outer: &O, inner: &I) {
    if let Some(group) = groups.get_mut(outer) {
        group.remove(inner);
        if group.is_empty() {
            groups.remove(outer);
        }
    }
}
