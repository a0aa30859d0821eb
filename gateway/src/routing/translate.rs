//! From a VirtualService to routes, for one Gateway server (`BuildHTTPRoutesForVirtualService` and `TranslateRoute` in
//! istio/pilot/pkg/networking/core/route/route.go).

use super::{
    cluster::ClusterId,
    clusters::ClusterRequest,
    listeners::ServerPlan,
    route::{
        Condition, ForwardAction, HeaderEdits, Operation, PathCondition, PseudoHeader, Route, RouteAction,
        RouteDestination, RouteOrigin,
    },
    route_policy::RoutePolicy,
    world::CompileSettings,
};
use crate::{
    balance::weighted::WeightedDraw,
    model::{
        object::selects,
        string_match::StringMatch,
        virtual_service::{Action, Destination, Forward, HttpMatch, HttpRule, VirtualService},
    },
};
use std::sync::Arc;

/// The routes of `service` behind `server`, in order, up to its first catch-all. Empty when none applies there.
/// `cluster` gives the id of a destination's cluster.
pub(super) fn routes(
    service: &VirtualService,
    server: &ServerPlan,
    settings: &CompileSettings,
    cluster: &mut impl FnMut(ClusterRequest) -> ClusterId,
) -> Vec<Arc<Route>> {
    let mut routes = Vec::new();
    for rule in &service.http {
        if rule.matches.is_empty() {
            // A rule without conditions ends the VirtualService.
            routes.extend(route(service, rule, None, server, cluster).map(Arc::new));
            return routes;
        }
        for entry in &rule.matches {
            if !applies_here(entry, server, settings) {
                continue;
            }
            let Some(route) = route(service, rule, Some(entry), server, cluster) else { continue };
            let ends = route.condition.is_catch_all();
            routes.push(Arc::new(route));
            if ends {
                return routes;
            }
        }
    }
    routes
}

/// Whether a match entry is for this server and this gateway: `port`, `gateways`, `sourceLabels`, `sourceNamespace`
/// (`sourceMatchHTTP` in istio's route.go).
fn applies_here(entry: &HttpMatch, server: &ServerPlan, settings: &CompileSettings) -> bool {
    if entry.port.is_some_and(|port| port != server.port) {
        return false;
    }
    if !entry.gateways.is_empty() {
        return entry.gateways.contains(&server.name);
    }
    selects(&entry.source_labels, &server.role)
        && entry.source_namespace.as_deref().is_none_or(|namespace| namespace == &*settings.gateway_namespace)
}

fn route(
    service: &VirtualService,
    rule: &HttpRule,
    entry: Option<&HttpMatch>,
    server: &ServerPlan,
    cluster: &mut impl FnMut(ClusterRequest) -> ClusterId,
) -> Option<Route> {
    let condition = entry.map_or_else(Condition::every_request, condition);
    let mut response_headers = HeaderEdits::from(&rule.headers.response);
    let action = match &rule.action {
        Action::Redirect(redirect) => RouteAction::Redirect(redirect.clone()),
        Action::DirectResponse(response) => RouteAction::DirectResponse(response.clone()),
        Action::Forward(forward) => {
            let mut id = |destination: &Destination| {
                cluster(ClusterRequest {
                    host: destination.host.clone(),
                    port: destination.port,
                    server_port: server.port,
                    subset: destination.subset.clone(),
                    from: Arc::clone(&service.meta.id.namespace),
                })
            };
            RouteAction::Forward(forward_action(rule, forward, &mut response_headers, &mut id)?)
        }
    };
    let entry_name = entry.map_or("", |entry| &*entry.name);
    let name =
        if entry_name.is_empty() { Arc::clone(&rule.name) } else { format!("{}.{entry_name}", rule.name).into() };
    Some(Route {
        origin: RouteOrigin {
            object: service.meta.id.clone(),
            source: service.meta.source.clone(),
            name,
            rule: rule.index,
            entry: entry.map_or(0, |entry| entry.index),
            delegate: rule.delegate.clone(),
        },
        operation: operation(service, rule, &condition, server.port),
        condition,
        action,
        fault: rule.fault.clone(),
        response_headers,
        server_port: server.port,
    })
}

/// `applyHTTPRouteDestination`: one destination gets everything, whatever its weight, and its header operations stand
/// behind the rule's; of several, those without weight are left out. `None` when nothing is left.
fn forward_action(
    rule: &HttpRule,
    forward: &Forward,
    response_headers: &mut HeaderEdits,
    id: &mut impl FnMut(&Destination) -> ClusterId,
) -> Option<ForwardAction> {
    let mut request_headers = HeaderEdits::from(&rule.headers.request);
    let mut authority = forward.rewrite.as_ref().and_then(|rewrite| rewrite.authority.clone());
    authority = authority.or_else(|| rule.headers.authority.clone());
    let destinations: Vec<RouteDestination> = if let [only] = &*forward.destinations {
        request_headers = request_headers.then(&only.headers.request);
        *response_headers = std::mem::take(response_headers).then(&only.headers.response);
        authority = authority.or_else(|| only.headers.authority.clone());
        let none = HeaderEdits::default;
        vec![RouteDestination {
            cluster: id(only),
            weight: 100,
            request_headers: none(),
            response_headers: none(),
            authority: None,
        }]
    } else {
        let weighted = forward.destinations.iter().filter(|destination| destination.weight > 0);
        let mut destinations: Vec<RouteDestination> = weighted
            .map(|destination| RouteDestination {
                cluster: id(destination),
                weight: destination.weight,
                request_headers: HeaderEdits::from(&destination.headers.request),
                response_headers: HeaderEdits::from(&destination.headers.response),
                authority: destination.headers.authority.clone(),
            })
            .collect();
        destinations.shrink_to_fit();
        destinations
    };
    let draw = WeightedDraw::new(destinations.iter().map(|destination| destination.weight))?;
    let policy = forward.policy.as_deref().map(|policy| Arc::new(RoutePolicy::of(policy, id)));
    let names_one = forward.destinations.len() == 1;
    let rewrite = forward.rewrite.clone();
    Some(ForwardAction { destinations, names_one, draw, rewrite, policy, request_headers, authority })
}

fn condition(entry: &HttpMatch) -> Condition {
    let path = match &entry.uri {
        None => PathCondition::Prefix("/".into()),
        Some(StringMatch::Exact(exact)) => PathCondition::Exact(exact.as_str().into()),
        Some(StringMatch::Prefix(prefix)) => PathCondition::Prefix(prefix.as_str().into()),
        Some(StringMatch::Regex(regex)) => PathCondition::Regex(regex.clone()),
    };
    let pseudo = [
        (PseudoHeader::Scheme, &entry.scheme),
        (PseudoHeader::Method, &entry.method),
        (PseudoHeader::Authority, &entry.authority),
    ];
    Condition {
        path,
        ignore_case: entry.ignore_uri_case,
        pseudo: pseudo.into_iter().filter_map(|(field, condition)| Some((field, condition.clone()?))).collect(),
        headers: entry.headers.clone(),
        query: entry.query.clone(),
    }
}

impl Condition {
    /// No condition: what a rule without `match` has.
    fn every_request() -> Self {
        Self {
            path: PathCondition::Prefix("/".into()),
            ignore_case: false,
            pseudo: Vec::new(),
            headers: Vec::new(),
            query: Vec::new(),
        }
    }
}

fn operation(service: &VirtualService, rule: &HttpRule, condition: &Condition, port: u16) -> Operation {
    let path = match &condition.path {
        PathCondition::Prefix(prefix) => format!("{prefix}*"),
        PathCondition::Exact(exact) => exact.to_string(),
        PathCondition::Regex(regex) => regex.pattern.clone(),
    };
    match &rule.action {
        // As the rule has them: of two destinations of which one has no weight it is the rule's name all the same.
        Action::Forward(forward) if forward.destinations.len() == 1 => Operation::Cluster(path.into()),
        _ => Operation::Rule(format!("{}:{port}{path}", service.meta.id.name).into()),
    }
}
