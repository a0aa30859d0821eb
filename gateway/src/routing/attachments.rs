//! The routing half of compilation: listeners, their domains, and which VirtualService stands where.

use super::{
    cluster::{ClusterId, ClusterState},
    cluster_table::ClusterTable,
    domains::{Domains, ServiceOrder, order},
    hosts::HostTable,
    listeners::ListenerPlan,
    snapshot::{Listener, VirtualHost},
    translate,
    world::{CompileSettings, HashMap, IndexSet, World},
};
use crate::model::{
    host::HostPattern,
    object::ObjectId,
    problem::{Problem, ProblemKind, Severity},
    virtual_service::{Action, VirtualService},
};
use std::{collections::BTreeSet, sync::Arc};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Attachments {
    listeners: Vec<Attached>,
    services: HashMap<ObjectId, Placed>,
}

/// One listener with its domains.
#[derive(Debug)]
struct Attached {
    plan: ListenerPlan,
    domains: Domains,
    /// Domains whose virtual host is out of date.
    stale: IndexSet<HostPattern>,
    hosts: HashMap<HostPattern, Arc<VirtualHost>>,
    listener: Arc<Listener>,
}

/// Where a VirtualService stands, to take it away again.
#[derive(Debug)]
struct Placed {
    order: ServiceOrder,
    /// Per listener, in its order.
    domains: Vec<BTreeSet<HostPattern>>,
    clusters: Vec<ClusterId>,
}

impl Attachments {
    /// Whether the listeners are planned just so already.
    pub(super) fn is_for(&self, plans: &[ListenerPlan]) -> bool {
        self.listeners.len() == plans.len()
            && self.listeners.iter().zip(plans).all(|(attached, plan)| attached.plan == *plan)
    }

    /// Starts over with other listeners.
    pub(super) fn rebuild(
        &mut self,
        plans: Vec<ListenerPlan>,
        world: &World,
        settings: &CompileSettings,
        clusters: &mut ClusterTable,
    ) {
        let before = std::mem::take(&mut self.services);
        self.listeners = plans.into_iter().map(Attached::new).collect();
        for service in world.virtual_services.values() {
            self.place(service, settings, clusters);
        }
        // Released only now, so that a cluster which stays keeps its slot.
        for id in before.into_values().flat_map(|placed| placed.clusters) {
            clusters.release(id);
        }
    }

    /// Places the given VirtualServices anew, or takes them away when they are gone; then rebuilds the virtual hosts that
    /// are out of date.
    pub(super) fn update(
        &mut self,
        changed: &IndexSet<ObjectId>,
        world: &World,
        settings: &CompileSettings,
        clusters: &mut ClusterTable,
    ) {
        for id in changed {
            let before = self.services.remove(id);
            if let Some(placed) = &before {
                for (attached, hosts) in self.listeners.iter_mut().zip(&placed.domains) {
                    attached.domains.detach(&placed.order, hosts);
                    attached.stale.extend(hosts.iter().cloned());
                }
            }
            if let Some(service) = world.virtual_services.get(id) {
                self.place(service, settings, clusters);
            }
            for id in before.into_iter().flat_map(|placed| placed.clusters) {
                clusters.release(id);
            }
        }
        for attached in &mut self.listeners {
            attached.refresh();
        }
    }

    fn place(&mut self, service: &VirtualService, settings: &CompileSettings, clusters: &mut ClusterTable) {
        let Some(order) = order(service, settings) else { return };
        let mut acquired = Vec::new();
        let mut domains = Vec::with_capacity(self.listeners.len());
        for attached in &mut self.listeners {
            let plan = &attached.plan;
            let hosts = attached.domains.attach(plan, service, &order, |position| {
                let mut cluster = |request| {
                    let id = clusters.acquire(request);
                    acquired.push(id);
                    id
                };
                translate::routes(service, &plan.servers[position], settings, &mut cluster)
            });
            attached.stale.extend(hosts.iter().cloned());
            domains.push(hosts);
        }
        self.services.insert(service.meta.id.clone(), Placed { order, domains, clusters: acquired });
    }

    pub(super) fn listeners(&self) -> Vec<Arc<Listener>> {
        self.listeners.iter().map(|attached| Arc::clone(&attached.listener)).collect()
    }

    /// References that lead nowhere: Gateways that do not exist or have no host in common, and destinations without a
    /// cluster.
    pub(super) fn problems(
        &self,
        world: &World,
        settings: &CompileSettings,
        clusters: &ClusterTable,
        problems: &mut Vec<Problem>,
    ) {
        for (id, placed) in &self.services {
            let Some(service) = world.virtual_services.get(id) else { continue };
            let mut say = |path: String, message: String| {
                problems.push(Problem {
                    object: Some(id.clone()),
                    source: service.meta.source.clone(),
                    path,
                    severity: Severity::Warning,
                    kind: ProblemKind::Reference,
                    message,
                });
            };
            for (index, gateway) in service.gateways.iter().enumerate() {
                let of_name = ObjectId::new(crate::model::object::Kind::Gateway, &gateway.namespace, &gateway.name);
                if !world.gateways.contains_key(&of_name) {
                    let message = format!("{of_name} does not exist: create it or correct the name");
                    say(format!("spec.gateways[{index}]"), message);
                }
            }
            let unknown: BTreeSet<ClusterId> = placed
                .clusters
                .iter()
                .copied()
                .filter(|&id| matches!(clusters.cluster(id).state, ClusterState::Unknown(_)))
                .collect();
            for id in unknown {
                let cluster = clusters.cluster(id);
                let ClusterState::Unknown(why) = cluster.state else { continue };
                let name = &cluster.name;
                let message = why.text(name, settings);
                say(
                    path_of(service, &cluster.name.host, &cluster.name.subset),
                    format!("{message}; requests get 503 NC"),
                );
            }
        }
    }
}

/// Where a VirtualService names a destination; the first place if it does so several times.
fn path_of(service: &VirtualService, host: &str, subset: &str) -> String {
    for rule in &service.http {
        if let Action::Forward(forward) = &rule.action {
            for (index, destination) in forward.destinations.iter().enumerate() {
                if destination.host.as_str() == host && destination.subset.as_deref().unwrap_or("") == subset {
                    if rule.delegate.is_some() {
                        return format!("spec.http[{}].delegate", rule.index);
                    }
                    return format!("spec.http[{}].route[{index}].destination", rule.index);
                }
            }
        }
    }
    "spec.http".into()
}

impl Attached {
    fn new(plan: ListenerPlan) -> Self {
        let domains = Domains::of_redirects(&plan);
        let stale = domains.0.keys().cloned().collect();
        let listener = Arc::new(listener(&plan, HostTable::default()));
        let mut attached = Self { plan, domains, stale, hosts: HashMap::default(), listener };
        attached.use_all_hosts();
        attached
    }

    /// Rebuilds the virtual hosts that are out of date.
    fn refresh(&mut self) {
        let stale = std::mem::take(&mut self.stale);
        if stale.is_empty() {
            return;
        }
        let mut newer = Vec::new();
        let mut same_domains = true;
        for domain in stale {
            match self.domains.0.get_mut(&domain) {
                Some(members) => {
                    let before = self.hosts.get(&domain);
                    same_domains &= before.is_some();
                    let host = Arc::new(members.virtual_host(&domain, &self.plan, before.map(|host| &**host)));
                    self.hosts.insert(domain, Arc::clone(&host));
                    newer.push(host);
                }
                None => same_domains &= self.hosts.remove(&domain).is_none(),
            }
        }
        match self.listener.hosts.with_replaced(newer) {
            Some(hosts) if same_domains => self.listener = Arc::new(listener(&self.plan, hosts)),
            _ => self.use_all_hosts(),
        }
    }

    fn use_all_hosts(&mut self) {
        let mut hosts: Vec<_> = self.hosts.values().cloned().collect();
        if hosts.is_empty() {
            // Istio's table of a port without any VirtualService: every request gets 404.
            let port = self.plan.servers.first().map_or(0, |server| server.port);
            let any = HostPattern::new("*");
            hosts.push(Arc::new(VirtualHost::new(format!("blackhole:{port}").into(), any, false, Vec::new(), None)));
        }
        self.listener = Arc::new(listener(&self.plan, HostTable::new(hosts)));
    }
}

fn listener(plan: &ListenerPlan, hosts: HostTable) -> Listener {
    let mut gateways: Vec<ObjectId> = Vec::new();
    for server in &plan.servers {
        if !gateways.contains(&server.gateway) {
            gateways.push(server.gateway.clone());
        }
    }
    let server_port = plan.servers.first().map_or(0, |server| server.port);
    let server_ports = plan.servers.iter().map(|server| server.port).collect();
    Listener {
        key: plan.key,
        server_port,
        server_ports,
        protocol: plan.protocol,
        tls: plan.tls.clone(),
        gateways,
        hosts,
    }
}
