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

/// One domain: the routes of each VirtualService attached, by the position of the server and the service's order.
#[derive(Debug, Default)]
pub(super) struct Domain {
    members: BTreeMap<(usize, ServiceOrder), Arc<[Arc<Route>]>>,
    /// Servers with httpsRedirect that have this very host.
    redirecting: BTreeSet<usize>,
    /// Servers with httpsRedirect through which a VirtualService came here.
    redirecting_members: BTreeSet<(usize, ServiceOrder)>,
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
                let domain = self.0.entry(host.clone()).or_default();
                domain.members.insert((position, order.clone()), Arc::clone(&routes));
                if server.https_redirect {
                    domain.redirecting_members.insert((position, order.clone()));
                }
                attached.insert(host);
            }
        }
        attached
    }

    /// Takes the service of that order out of `hosts`; domains nothing is left of disappear.
    pub(super) fn detach(&mut self, order: &ServiceOrder, hosts: &BTreeSet<HostPattern>) {
        for host in hosts {
            let Some(domain) = self.0.get_mut(host) else { continue };
            domain.members.retain(|(_, member), _| member != order);
            domain.redirecting_members.retain(|(_, member)| member != order);
            if domain.members.is_empty() && domain.redirecting.is_empty() {
                self.0.remove(host);
            }
        }
    }
}

impl Domain {
    /// The virtual host, named after the port of the first server that yields it, with `before` as a donor of its index.
    pub(super) fn virtual_host(
        &self,
        host: &HostPattern,
        plan: &ListenerPlan,
        before: Option<&VirtualHost>,
    ) -> VirtualHost {
        let require_tls = !self.redirecting.is_empty() || !self.redirecting_members.is_empty();
        let all = self.members.values().flat_map(|routes| routes.iter());
        // Catch-alls move to the end, whoever wrote them (`SortVHostRoutes` in istio's route.go).
        let (last, mut routes): (Vec<_>, Vec<_>) = all.cloned().partition(|route| route.condition.is_catch_all());
        routes.extend(last);
        let by_member = self.members.keys().next().map(|(position, _)| *position);
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
