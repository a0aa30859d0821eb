//! The Location of a redirect.

use crate::{
    model::virtual_service::Redirect,
    routing::{lookup::RequestHead, route::Route},
};

/// The `location` value for a redirect of `route`, as Envoy's router builds it from Istio's configuration.
pub fn location(_redirect: &Redirect, _route: &Route, _request: &RequestHead<'_>) -> String {
    String::new()
}

/// The `location` value of a virtual host that requires TLS: `https://`, the Host header as sent, path and query.
pub fn https_location(request: &RequestHead<'_>) -> String {
    let query = request.query.map(|q| format!("?{q}")).unwrap_or_default();
    format!("https://{}{}{query}", request.authority, request.path)
}
