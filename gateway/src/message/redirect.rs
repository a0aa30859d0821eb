//! The Location of a redirect.

use crate::{
    model::virtual_service::{Redirect, RedirectPath, RedirectPort},
    routing::{
        lookup::RequestHead,
        route::{PathCondition, Route},
    },
};

/// The `location` value for a redirect of `route` (`ApplyRedirect` in istio's route.go, then `newUri` in envoy's
/// source/common/http/utility.cc or `RouteEntryImplBase::newUri`).
pub fn location(redirect: &Redirect, route: &Route, request: &RequestHead<'_>) -> String {
    let scheme = redirect.scheme.as_ref().map_or(request.scheme, |scheme| scheme.as_str());
    let port = match redirect.port {
        RedirectPort::Unchanged => None,
        RedirectPort::GatewayPort => Some(route.server_port),
        RedirectPort::Number(number) => Some(number),
    }
    .filter(|&port| !is_default(scheme, port));

    let authority = redirect.authority.as_deref().unwrap_or(request.authority);
    let (host, sent_port) = split_port(authority);
    let authority = match (port, sent_port) {
        (Some(port), _) => format!("{host}:{port}"),
        // The scheme changes and the Host named the old scheme's port: it means nothing any more.
        (None, Some(sent)) if scheme != request.scheme && is_default(request.scheme, sent) => host.to_owned(),
        (None, _) => authority.to_owned(),
    };

    let query = request.query.map(|query| format!("?{query}")).unwrap_or_default();
    let target = match &redirect.path {
        None => format!("{}{query}", request.path),
        Some(RedirectPath::Uri(uri)) if uri.contains('?') => uri.to_string(),
        Some(RedirectPath::Uri(uri)) => format!("{uri}{query}"),
        Some(RedirectPath::Prefix(replacement)) => match &route.condition.path {
            PathCondition::Prefix(prefix) => {
                format!("{replacement}{}{query}", request.path.get(prefix.len()..).unwrap_or_default())
            }
            PathCondition::Exact(_) | PathCondition::Regex(_) => format!("{replacement}{query}"),
        },
    };
    format!("{scheme}://{authority}{target}")
}

/// The `location` value of a virtual host that requires TLS: `https://`, the Host header as sent, path and query.
pub fn https_location(request: &RequestHead<'_>) -> String {
    let query = request.query.map(|query| format!("?{query}")).unwrap_or_default();
    format!("https://{}{}{query}", request.authority, request.path)
}

fn is_default(scheme: &str, port: u16) -> bool {
    matches!((scheme, port), ("http", 80) | ("https", 443))
}

/// Host and port of an authority; the port only if it is a number.
fn split_port(authority: &str) -> (&str, Option<u16>) {
    match authority.rsplit_once(':').map(|(host, port)| (host, port.parse())) {
        Some((host, Ok(port))) if !host.contains(':') || host.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    }
}
