//! Which VirtualService attaches to which virtual host of a listener (`buildGatewayHTTPRouteConfig` in
//! istio/pilot/pkg/networking/core/gateway.go).

use super::{
    listeners::ListenerPlan,
    route::Route,
    snapshot::VirtualHost,
    world::{CompileSettings, HashMap},
};
use crate::model::{
    host::HostPattern,
    object::{ObjectId, OrderKey},
    virtual_service::VirtualService,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Order of VirtualServices visible to one gateway: those private to its namespace, those exported to it by name, the
/// public ones; in each group Istio's order of objects (`VirtualServicesForGateway` in push_context.go).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ServiceOrder(u8, OrderKey);

/// The order of `service` for this gateway; `None` when it is not exported to it.
pub(super) fn order(service: &VirtualService, settings: &CompileSettings) -> Option<ServiceOrder> {
    use crate::model::export::Visibility;
    let group = match &service.visibility {
        Visibility::Public => 2,
        Visibility::Namespaces(_) if !service.visibility.includes(&settings.gateway_namespace) => return None,
        Visibility::Namespaces(_) if service.meta.id.namespace == settings.gateway_namespace => 0,
        Visibility::Namespaces(_) => 1,
    };
    Some(ServiceOrder(group, service.meta.order()))
}

/// The domains of one listener with what stands behind each.
#[derive(Debug, Default)]
pub(super) struct Domains(pub(super) HashMap<HostPattern, Domain>);

/// One domain: the routes of each VirtualService attached.
#[derive(Debug, Default)]
pub(super) struct Domain {
    /// In order once [`Domain::virtual_host`] has been called. A plain list, because most domains have one member and
    /// there may be ten thousand domains.
    members: Vec<Member>,
    /// Servers with httpsRedirect that have this very host.
    redirecting: BTreeSet<usize>,
}

/// One VirtualService on a domain, through the server at a position of the listener.
#[derive(Debug)]
struct Member {
    server: usize,
    order: ServiceOrder,
    routes: Arc<[Arc<Route>]>,
}

impl Domains {
    /// The domains that `httpsRedirect` yields before any VirtualService.
    pub(super) fn of_redirects(plan: &ListenerPlan) -> Self {
        let mut domains = Self::default();
        for (position, server) in plan.servers.iter().enumerate().filter(|(_, server)| server.https_redirect) {
            // A `namespace/host` would become a domain that no Host header can be.
            for host in server.hosts.iter().filter(|host| host.namespace.is_none()) {
                domains.0.entry(host.host.clone()).or_default().redirecting.insert(position);
            }
        }
        domains
    }

    /// Attaches `service` wherever a host of it meets a host of a server it is bound to. `routes` compiles it for the
    /// server at a position. Returns the domains it came to.
    pub(super) fn attach(
        &mut self,
        plan: &ListenerPlan,
        service: &VirtualService,
        order: &ServiceOrder,
        mut routes: impl FnMut(usize) -> Vec<Arc<Route>>,
    ) -> BTreeSet<HostPattern> {
        let mut attached = BTreeSet::new();
        // Per Gateway the routes are compiled once, with the first of its servers that yields any.
        let mut compiled: BTreeMap<&ObjectId, Arc<[Arc<Route>]>> = BTreeMap::new();
        for (position, server) in plan.servers.iter().enumerate() {
            if !service.gateways.contains(&server.name) {
                continue;
            }
            let hosts = intersection(server, service);
            if hosts.is_empty() {
                continue;
            }
            let routes = match compiled.get(&server.gateway) {
                Some(routes) => Arc::clone(routes),
                None => {
                    let routes: Arc<[Arc<Route>]> = routes(position).into();
                    if routes.is_empty() {
                        continue;
                    }
                    compiled.insert(&server.gateway, Arc::clone(&routes));
                    routes
                }
            };
            for host in hosts {
                let members = &mut self.0.entry(host.clone()).or_default().members;
                if members.is_empty() {
                    members.reserve_exact(1);
                }
                members.push(Member { server: position, order: order.clone(), routes: Arc::clone(&routes) });
                attached.insert(host);
            }
        }
        attached
    }

    /// Takes the service of that order out of `hosts`; domains nothing is left of disappear.
    pub(super) fn detach(&mut self, order: &ServiceOrder, hosts: &BTreeSet<HostPattern>) {
        for host in hosts {
            let Some(domain) = self.0.get_mut(host) else { continue };
            domain.members.retain(|member| member.order != *order);
            if domain.members.is_empty() && domain.redirecting.is_empty() {
                self.0.remove(host);
            }
        }
    }
}

impl Domain {
    /// The virtual host, named after the port of the first server that yields it, with `before` as a donor of its index.
    pub(super) fn virtual_host(
        &mut self,
        host: &HostPattern,
        plan: &ListenerPlan,
        before: Option<&VirtualHost>,
    ) -> VirtualHost {
        // Stable and quick for a list that is in order but for its last entry.
        self.members.sort_by(|a, b| (a.server, &a.order).cmp(&(b.server, &b.order)));
        let redirects = |member: &Member| plan.servers.get(member.server).is_some_and(|server| server.https_redirect);
        let require_tls = !self.redirecting.is_empty() || self.members.iter().any(redirects);
        let mut routes = Vec::with_capacity(self.members.iter().map(|member| member.routes.len()).sum());
        // Catch-alls move to the end, whoever wrote them (`SortVHostRoutes` in istio's route.go).
        for catch_all in [false, true] {
            let all = self.members.iter().flat_map(|member| member.routes.iter());
            routes.extend(all.filter(|route| route.condition.is_catch_all() == catch_all).cloned());
        }
        let by_member = self.members.first().map(|member| member.server);
        let first = by_member.into_iter().chain(self.redirecting.first().copied()).min();
        let port = first.and_then(|position| plan.servers.get(position)).map_or(0, |server| server.port);
        VirtualHost::new(format!("{host}:{port}").into(), host.clone(), require_tls, routes, before)
    }
}

/// For every pair of a server host and a service host that intersect, the narrower one (`Names.Intersection` in
/// istio/pkg/config/host/names.go).
fn intersection(server: &super::listeners::ServerPlan, service: &VirtualService) -> BTreeSet<HostPattern> {
    let namespace = &service.meta.id.namespace;
    let open = server.hosts.iter().filter(|host| host.namespace.as_ref().is_none_or(|only| only == namespace));
    let mut narrower = BTreeSet::new();
    for mine in open {
        for theirs in &service.hosts {
            if mine.host.is_subset_of(theirs) {
                narrower.insert(mine.host.clone());
            } else if theirs.is_subset_of(&mine.host) {
                narrower.insert(theirs.clone());
            }
        }
    }
    narrower
}
