//! A rule of a root and a rule of its delegate as one (`MergeHTTPRoutes` in istio/pilot/pkg/model/virtualservice.go).

use crate::istio::{
    common::StringMatch,
    http_route::{HttpMatchRequest, HttpRoute},
};
use std::collections::BTreeMap;

/// The delegate's rule, with what only the root says. `None` when a match of the delegate is in none of the root's.
pub(super) fn rule(root: &HttpRoute, leaf: &HttpRoute) -> Option<HttpRoute> {
    let matches = matches(&root.matches, &leaf.matches)?;
    Some(HttpRoute {
        name: joined(&root.name, &leaf.name),
        matches,
        route: leaf.route.clone(),
        redirect: leaf.redirect.clone(),
        direct_response: either(&leaf.direct_response, &root.direct_response),
        // Delegation has one level: what a delegate would delegate has no action, and is left out for that.
        delegate: None,
        rewrite: either(&leaf.rewrite, &root.rewrite),
        timeout: either(&leaf.timeout, &root.timeout),
        retries: either(&leaf.retries, &root.retries),
        fault: either(&leaf.fault, &root.fault),
        mirror: either(&leaf.mirror, &root.mirror),
        mirrors: if leaf.mirrors.is_empty() { root.mirrors.clone() } else { leaf.mirrors.clone() },
        mirror_percent: leaf.mirror_percent.or(root.mirror_percent),
        mirror_percentage: either(&leaf.mirror_percentage, &root.mirror_percentage),
        cors_policy: either(&leaf.cors_policy, &root.cors_policy),
        headers: either(&leaf.headers, &root.headers),
    })
}

fn either<T: Clone>(leaf: &Option<T>, root: &Option<T>) -> Option<T> {
    leaf.as_ref().or(root.as_ref()).cloned()
}

fn joined(root: &str, leaf: &str) -> String {
    match (root, leaf) {
        ("", leaf) => leaf.to_owned(),
        (root, "") => root.to_owned(),
        (root, leaf) => format!("{root}-{leaf}"),
    }
}

/// Every match of the delegate in every match of the root that contains it. `None` when one is in none of them.
pub(super) fn matches(root: &[HttpMatchRequest], leaf: &[HttpMatchRequest]) -> Option<Vec<HttpMatchRequest>> {
    if root.is_empty() {
        return Some(leaf.to_vec());
    }
    if leaf.is_empty() {
        return Some(root.to_vec());
    }
    let mut merged = Vec::new();
    for leaf in leaf {
        let before = merged.len();
        merged.extend(root.iter().filter_map(|root| entry(root, leaf)));
        if merged.len() == before {
            return None;
        }
    }
    Some(merged)
}

/// Both matches in one. `None` when the delegate's is not inside of the root's.
pub(super) fn entry(root: &HttpMatchRequest, leaf: &HttpMatchRequest) -> Option<HttpMatchRequest> {
    if contradicts(root, leaf) {
        return None;
    }
    let text = |leaf: &String, root: &String| if leaf.is_empty() { root.clone() } else { leaf.clone() };
    Some(HttpMatchRequest {
        name: joined(&root.name, &leaf.name),
        uri: either(&leaf.uri, &root.uri),
        scheme: either(&leaf.scheme, &root.scheme),
        method: either(&leaf.method, &root.method),
        authority: either(&leaf.authority, &root.authority),
        headers: united(&root.headers, &leaf.headers),
        port: if leaf.port == 0 { root.port } else { leaf.port },
        source_labels: united(&root.source_labels, &leaf.source_labels),
        gateways: if leaf.gateways.is_empty() { root.gateways.clone() } else { leaf.gateways.clone() },
        query_params: united(&root.query_params, &leaf.query_params),
        ignore_uri_case: leaf.ignore_uri_case,
        without_headers: united(&root.without_headers, &leaf.without_headers),
        source_namespace: text(&leaf.source_namespace, &root.source_namespace),
        stat_prefix: text(&leaf.stat_prefix, &root.stat_prefix),
    })
}

fn united<T: Clone>(root: &BTreeMap<String, T>, leaf: &BTreeMap<String, T>) -> BTreeMap<String, T> {
    root.iter().chain(leaf).map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// `hasConflict` in istio's virtualservice.go.
fn contradicts(root: &HttpMatchRequest, leaf: &HttpMatchRequest) -> bool {
    let texts = [
        (&root.uri, &leaf.uri),
        (&root.scheme, &leaf.scheme),
        (&root.method, &leaf.method),
        (&root.authority, &leaf.authority),
    ];
    let maps = [
        (&root.headers, &leaf.headers),
        (&root.without_headers, &leaf.without_headers),
        (&root.query_params, &leaf.query_params),
    ];
    texts.into_iter().any(|(root, leaf)| is_outside(root.as_ref(), leaf.as_ref()))
        || maps.into_iter().any(|(root, leaf)| leaf.iter().any(|(key, leaf)| is_outside(root.get(key), Some(leaf))))
        || root.ignore_uri_case != leaf.ignore_uri_case
        || (root.port > 0 && leaf.port > 0 && root.port != leaf.port)
        || (!root.source_namespace.is_empty() && root.source_namespace != leaf.source_namespace)
        || leaf.source_labels.iter().any(|(key, leaf)| root.source_labels.get(key).is_some_and(|root| root != leaf))
        || has_other_gateways(root, leaf)
}

fn has_other_gateways(root: &HttpMatchRequest, leaf: &HttpMatchRequest) -> bool {
    let both = !root.gateways.is_empty() && !leaf.gateways.is_empty();
    both && (root.gateways.len() < leaf.gateways.len()
        || leaf.gateways.iter().any(|name| !root.gateways.contains(name)))
}

/// Whether `leaf` may match what `root` does not, as far as Istio can tell (`stringMatchConflict`): of two of which one is
/// a regex or only asks for presence, it cannot.
fn is_outside(root: Option<&StringMatch>, leaf: Option<&StringMatch>) -> bool {
    let (Some(root), Some(leaf)) = (root, leaf) else { return false };
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let [root_exact, root_prefix, root_regex] = [&root.exact, &root.prefix, &root.regex].map(given);
    let [leaf_exact, leaf_prefix, leaf_regex] = [&leaf.exact, &leaf.prefix, &leaf.regex].map(given);
    if root_regex.is_some() || leaf_regex.is_some() {
        return true;
    }
    if let Some(exact) = root_exact {
        return leaf_prefix.is_some() || leaf_exact != Some(exact);
    }
    match (root_prefix, leaf_prefix.or(leaf_exact)) {
        (Some(prefix), Some(text)) => !text.starts_with(&prefix),
        _ => true,
    }
}
