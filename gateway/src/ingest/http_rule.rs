//! One `http[]` rule of a VirtualService.

use super::{
    IngestContext, destination,
    findings::{Findings, Path},
    headers, http_action, http_match, http_policy,
};
use crate::{
    istio::http_route as istio,
    model::{
        fault::Fault,
        virtual_service::{Action, Destination, Forward, HttpRule},
    },
};
use std::sync::Arc;

/// Reads the rule at `index` of its list, in an object of `namespace` (`validateHTTPRoute` in
/// istio/pkg/config/validation/virtualservice.go). `None`, with a finding, when it cannot be served as it is meant; its
/// requests then go to the rules after it.
pub(super) fn read(
    index: usize,
    route: &istio::HttpRoute,
    namespace: &str,
    context: &IngestContext,
    path: &Path<'_>,
    findings: &mut Findings<'_>,
) -> Option<HttpRule> {
    let conflicts = check_conflicts(route, path, findings);
    let mut matches = Vec::with_capacity(route.matches.len());
    for (index, request) in route.matches.iter().enumerate() {
        let path = path.field("match");
        matches.extend(http_match::read(index, request, namespace, &path.index(index), findings));
    }
    let rules = headers::read(route.headers.as_ref(), &path.field("headers"), findings);
    check_authority(route, path, findings);
    let action = action(route, namespace, context, path, findings);

    // The delegate's rules stand in its place: see `delegation`.
    if route.delegate.is_some() {
        return None;
    }
    // A rule that has lost all of its matches must not become one that matches everything.
    let matches_nothing = matches.is_empty() && !route.matches.is_empty();
    if conflicts == Conflicts::NoAction || matches_nothing {
        return None;
    }
    let (action, fault) = action?;
    let name = route.name.as_str().into();
    Some(HttpRule { index, name, matches, action, fault, headers: rules, delegate: None })
}

/// What [`check_conflicts`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Conflicts {
    /// Nothing, or nothing that leaves the action in doubt: redirect goes before directResponse, and that before route.
    Servable,
    NoAction,
}

/// Parts of a rule that exclude each other (`validateHTTPRouteConflict` in virtualservice.go).
fn check_conflicts(route: &istio::HttpRoute, path: &Path<'_>, findings: &mut Findings<'_>) -> Conflicts {
    let has_route = route.route.as_ref().is_some_and(|route| !route.is_empty());
    if route.delegate.is_some() {
        if route.redirect.is_some() {
            findings.invalid(&path.field("redirect"), "stands beside a delegate: remove one");
        }
        if route.route.is_some() {
            findings.invalid(&path.field("route"), "stands beside a delegate: remove one");
        }
        return Conflicts::Servable;
    }
    if route.mirror.is_some() && !route.mirrors.is_empty() {
        findings.invalid(&path.field("mirror"), "stands beside mirrors: keep one");
    }
    let winner = if route.redirect.is_some() {
        "redirect"
    } else if route.direct_response.is_some() {
        "directResponse"
    } else if has_route {
        return Conflicts::Servable;
    } else {
        findings.invalid(path, "does nothing: give it a route, a redirect or a directResponse");
        return Conflicts::NoAction;
    };
    let others = [
        ("route", has_route),
        ("fault", route.fault.is_some()),
        ("rewrite", route.rewrite.is_some()),
        ("directResponse", winner == "redirect" && route.direct_response.is_some()),
    ];
    for (other, _) in others.into_iter().filter(|(_, present)| *present) {
        findings.invalid(&path.field(other), format!("stands beside {winner}, which goes first: remove one"));
    }
    Conflicts::Servable
}

/// The authority may be given in one place only (`validateAuthorityRewrite` in virtualservice.go).
fn check_authority(route: &istio::HttpRoute, path: &Path<'_>, findings: &mut Findings<'_>) {
    let rewrite = route.rewrite.as_ref().map(|rewrite| rewrite.authority.as_str());
    let given = rewrite.into_iter().chain(headers::authorities(route.headers.as_ref()));
    if given.filter(|authority| !authority.is_empty()).count() > 1 {
        let message = "gives the authority more than once: keep rewrite.authority or one Host header";
        findings.invalid(&path.field("headers").field("request"), message);
    }
}

/// What a rule does, and with which faults where it does not forward.
fn action(
    route: &istio::HttpRoute,
    namespace: &str,
    context: &IngestContext,
    path: &Path<'_>,
    findings: &mut Findings<'_>,
) -> Option<(Action, Option<Arc<Fault>>)> {
    let redirect = route
        .redirect
        .as_ref()
        .map(|redirect| http_action::redirect(redirect, &route.matches, &path.field("redirect"), findings));
    let response = route
        .direct_response
        .as_ref()
        .map(|response| http_action::direct_response(response, &path.field("directResponse"), findings));
    let rewrite = route.rewrite.as_ref().map(|rewrite| http_action::rewrite(rewrite, &path.field("rewrite"), findings));
    let destinations = destinations(route, namespace, context, &path.field("route"), findings);
    let policy = http_policy::read(route, namespace, context, path, findings);
    let own = redirect
        .map(|redirect| redirect.map(Action::Redirect))
        .or_else(|| response.map(|response| response.map(Action::DirectResponse)));
    if let Some(own) = own {
        // CORS is no matter of such a rule, but faults are.
        return Some((own?, policy.and_then(|policy| policy.fault).map(Arc::new)));
    }
    let rewrite = match rewrite {
        Some(rewrite) => Some(rewrite?),
        None => None,
    };
    Some((Action::Forward(Forward { destinations: destinations?, rewrite, policy }), None))
}

/// Reads `route[]` (`validateHTTPRouteDestinations` in validation.go). `None`, with a finding, when the shares cannot be
/// kept.
fn destinations(
    route: &istio::HttpRoute,
    namespace: &str,
    context: &IngestContext,
    path: &Path<'_>,
    findings: &mut Findings<'_>,
) -> Option<Vec<Destination>> {
    let route = route.route.as_deref().unwrap_or_default();
    let mut destinations = Vec::with_capacity(route.len());
    for (index, entry) in route.iter().enumerate() {
        let path = path.index(index);
        let headers = headers::read(entry.headers.as_ref(), &path.field("headers"), findings);
        let weight = u32::try_from(entry.weight).ok();
        if weight.is_none() {
            findings.invalid(&path.field("weight"), format!("{} is negative; the rule is left out", entry.weight));
        }
        let target = match &entry.destination {
            Some(target) => destination::read(target, namespace, context, &path.field("destination"), findings),
            None => {
                findings.schema(&path.field("destination"), "is required");
                None
            }
        };
        if let (Some(target), Some(weight)) = (target, weight) {
            let destination::Target { host, subset, port } = target;
            destinations.push(Destination { host, subset, port, weight, headers });
        }
    }
    let complete = destinations.len() == route.len();
    if complete && route.len() > 1 && destinations.iter().all(|destination| destination.weight == 0) {
        findings.invalid(
            path,
            "has a total weight of 0: an absent weight is 0 when there are several destinations; the rule is left out",
        );
        return None;
    }
    complete.then_some(destinations)
}
