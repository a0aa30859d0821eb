//! From TCP and TLS routes to streams (`buildGatewayNetworkFiltersFromTCPRoutes` and `…FromTLSRoutes` in
//! istio/pilot/pkg/networking/core/gateway.go).

use super::{
    cluster::{ClusterId, ClusterState},
    cluster_table::ClusterTable,
    clusters::ClusterRequest,
    domains::{ServiceOrder, order},
    listeners::{StreamPlan, StreamPlans},
    snapshot::ListenerKey,
    streams::{Carries, Section, Stream, StreamOrigin, StreamRoute, WeightedCluster},
    world::{CompileSettings, IndexSet, World},
};
use crate::{
    balance::weighted::WeightedDraw,
    model::{
        gateway::ServerHost,
        host::HostPattern,
        l4_routes::{Scope, StreamDestination, TcpRule, TlsMatch, TlsRule},
        object::ObjectId,
        problem::{Problem, ProblemKind, Severity},
        virtual_service::VirtualService,
    },
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// The streams of a compiler. They are few beside virtual hosts, and made anew as a whole.
#[derive(Debug, Default)]
pub(super) struct StreamTable {
    plans: StreamPlans,
    /// VirtualServices with TCP or TLS routes that are visible here.
    services: BTreeMap<ObjectId, ServiceOrder>,
    streams: Vec<Arc<Stream>>,
    clusters: Vec<ClusterId>,
    problems: Vec<Problem>,
}

impl StreamTable {
    pub(super) fn streams(&self) -> Vec<Arc<Stream>> {
        self.streams.clone()
    }

    /// Follows a change of some VirtualServices, and of the servers when `plans` are given.
    pub(super) fn update(
        &mut self,
        plans: Option<StreamPlans>,
        changed: &IndexSet<ObjectId>,
        world: &World,
        settings: &CompileSettings,
        clusters: &mut ClusterTable,
    ) {
        let mut is_stale = false;
        for id in changed {
            let service = world.virtual_services.get(id).filter(|s| !s.tcp.is_empty() || !s.tls.is_empty());
            let before = self.services.remove(id);
            let after = service.and_then(|service| order(service, settings));
            is_stale |= before.is_some() || after.is_some();
            self.services.extend(after.map(|order| (id.clone(), order)));
        }
        if let Some(plans) = plans.filter(|plans| *plans != self.plans) {
            self.plans = plans;
            is_stale = true;
        }
        if is_stale {
            self.rebuild(world, clusters);
        }
    }

    fn rebuild(&mut self, world: &World, clusters: &mut ClusterTable) {
        let mut services: Vec<(&ServiceOrder, &VirtualService)> = Vec::with_capacity(self.services.len());
        services
            .extend(self.services.iter().filter_map(|(id, order)| Some((order, &**world.virtual_services.get(id)?))));
        services.sort_by_key(|(order, _)| *order);
        let mut build = Build {
            taken: self.plans.ended.clone(),
            clusters,
            acquired: Vec::new(),
            streams: Vec::new(),
            problems: Vec::new(),
        };
        for plan in &self.plans.streams {
            let bound = services.iter().map(|(_, service)| *service);
            build.server(plan, bound.filter(|service| is_bound(service, plan)));
        }
        let Build { acquired, streams, problems, .. } = build;
        let before = std::mem::replace(&mut self.clusters, acquired);
        // Released only now, so that a cluster which stays keeps its slot.
        before.into_iter().for_each(|id| clusters.release(id));
        if self.streams.len() != streams.len() || self.streams.iter().zip(&streams).any(|(a, b)| **a != *b) {
            self.streams = streams.into_iter().map(Arc::new).collect();
        }
        self.problems = problems;
    }

    /// Names that two routes claim, and destinations without a cluster.
    pub(super) fn problems(
        &self,
        world: &World,
        settings: &CompileSettings,
        clusters: &ClusterTable,
        problems: &mut Vec<Problem>,
    ) {
        problems.extend(self.problems.iter().cloned());
        let mut said = BTreeSet::new();
        for stream in &self.streams {
            let origin = &stream.route.origin;
            let Some(service) = world.virtual_services.get(&origin.object) else { continue };
            for destination in &stream.route.destinations {
                let cluster = clusters.cluster(destination.cluster);
                let ClusterState::Unknown(why) = cluster.state else { continue };
                let path = format!("spec.{}[{}].route", origin.section.name(), origin.rule);
                if said.insert((origin.object.clone(), path.clone(), destination.cluster)) {
                    let message = format!("{}; connections are closed", why.text(&cluster.name, settings));
                    problems.push(problem(service, path, ProblemKind::Reference, message));
                }
            }
        }
    }
}

/// Whether a VirtualService names the server's Gateway and has a host in common with the server (`pickMatchingGatewayHosts`).
fn is_bound(service: &VirtualService, plan: &StreamPlan) -> bool {
    let namespace = &service.meta.id.namespace;
    let meets = |host: &ServerHost| {
        host.namespace.as_ref().is_none_or(|only| only == namespace)
            && service.hosts.iter().any(|theirs| theirs.intersects(&host.host))
    };
    service.gateways.contains(&plan.server.name) && plan.server.hosts.iter().any(meets)
}

/// What one walk over all servers collects.
struct Build<'t> {
    /// Names that somebody is for, on each socket: no two chains may share one.
    taken: BTreeMap<ListenerKey, BTreeSet<HostPattern>>,
    clusters: &'t mut ClusterTable,
    acquired: Vec<ClusterId>,
    streams: Vec<Stream>,
    problems: Vec<Problem>,
}

impl Build<'_> {
    fn server<'s>(&mut self, plan: &StreamPlan, services: impl Iterator<Item = &'s VirtualService>) {
        match &plan.carries {
            Carries::Tls(_) => {
                for service in services {
                    for rule in &service.tls {
                        for entry in rule.matches.iter().filter(|entry| applies(&entry.scope, plan)) {
                            self.passed_on(plan, service, rule, entry);
                        }
                    }
                }
            }
            // The first rule of the first VirtualService that has one.
            Carries::Anything | Carries::EndedTls(_) => {
                for service in services {
                    for rule in &service.tcp {
                        let entry = matching(rule, plan);
                        let origin = |entry| (Section::Tcp, rule.index, entry);
                        if let Some(route) =
                            entry.and_then(|entry| self.route(plan, service, origin(entry), &rule.destinations))
                        {
                            self.streams.push(stream(plan, plan.carries.clone(), route));
                            return;
                        }
                    }
                }
            }
        }
    }

    fn passed_on(&mut self, plan: &StreamPlan, service: &VirtualService, rule: &TlsRule, entry: &TlsMatch) {
        let taken = self.taken.entry(plan.key).or_default();
        if let Some(name) = entry.server_names.iter().find(|name| taken.contains(*name)) {
            let path = format!("spec.tls[{}].match[{}].sniHosts", rule.index, entry.index);
            let message = format!(
                "the match is not used: port {} has another server or route for {name}; remove it here or there",
                plan.key.port
            );
            self.problems.push(problem(service, path, ProblemKind::Conflict, message));
            return;
        }
        taken.extend(entry.server_names.iter().cloned());
        let origin = (Section::Tls, rule.index, entry.index);
        if let Some(route) = self.route(plan, service, origin, &rule.destinations) {
            let mut names = entry.server_names.clone();
            // One `*` among them, and the stream is for everybody (`toFilterChainMatch` in istio's listener.go).
            if names.iter().any(HostPattern::is_any) {
                names.clear();
            }
            names.sort_unstable();
            names.dedup();
            self.streams.push(stream(plan, Carries::Tls(names), route));
        }
    }

    /// `None` when there is nothing to draw.
    fn route(
        &mut self,
        plan: &StreamPlan,
        service: &VirtualService,
        (section, rule, entry): (Section, usize, usize),
        written: &[StreamDestination],
    ) -> Option<StreamRoute> {
        let is_only = written.len() == 1;
        let weight = |destination: &StreamDestination| if is_only { 100 } else { destination.weight };
        let draw = WeightedDraw::new(written.iter().map(weight).filter(|weight| *weight > 0))?;
        let mut acquire = |destination: &StreamDestination| {
            let id = self.clusters.acquire(ClusterRequest {
                host: destination.host.clone(),
                port: destination.port,
                server_port: plan.server.port,
                subset: destination.subset.clone(),
                from: Arc::clone(&service.meta.id.namespace),
            });
            self.acquired.push(id);
            id
        };
        let policy = acquire(written.first()?);
        let drawn = written.iter().filter(|destination| weight(destination) > 0);
        let destinations = drawn.map(|d| WeightedCluster { cluster: acquire(d), weight: weight(d) }).collect();
        let source = service.meta.source.clone();
        let origin = StreamOrigin { object: service.meta.id.clone(), source, section, rule, entry };
        Some(StreamRoute { origin, destinations, draw, is_alone: is_only, policy })
    }
}

fn applies(scope: &Scope, plan: &StreamPlan) -> bool {
    scope.includes(&plan.server.name, plan.server.port)
}

/// The first entry of a TCP rule that is for the server; 0 for a rule without any.
fn matching(rule: &TcpRule, plan: &StreamPlan) -> Option<usize> {
    if rule.matches.is_empty() {
        return Some(0);
    }
    rule.matches.iter().position(|scope| applies(scope, plan))
}

fn stream(plan: &StreamPlan, carries: Carries, route: StreamRoute) -> Stream {
    Stream {
        key: plan.key,
        server_port: plan.server.port,
        protocol: plan.protocol,
        gateway: plan.server.gateway.clone(),
        carries,
        route,
    }
}

fn problem(service: &VirtualService, path: String, kind: ProblemKind, message: String) -> Problem {
    let (object, source) = (Some(service.meta.id.clone()), service.meta.source.clone());
    Problem { object, source, path, severity: Severity::Warning, kind, message }
}

#[cfg(test)]
mod tests;
