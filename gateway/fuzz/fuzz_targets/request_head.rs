//! Any request head against any header operations and rewrite: normalised, routed, rewritten.
//!
//! The lines of the input are: the request target, the authority, a match of the path, its rewrite, a header value with
//! format operators, then headers.
#![no_main]

use gateway::{
    ingest::{IngestContext, ingest, manifest::Manifest},
    message::{header_operations, hop_by_hop, path, redirect, rewrite},
    model::resource::Resource,
    routing::{
        compiler::compile,
        lookup::{Found, RequestHead},
        route::RouteAction,
    },
};
use gateway_fuzz::{check_against_oracle, worlds};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use std::net::SocketAddr;

fuzz_target!(|text: &str| {
    let mut lines = text.split('\n');
    let mut line = || lines.next().unwrap_or_default();
    let (target, authority, pattern, replacement, value) = (line(), line(), line(), line(), line());
    let mut headers = HeaderMap::new();
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value.as_bytes()))
        {
            headers.append(name, value);
        }
    }
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let Ok(path) = path::normalise(path) else { return };
    assert!(path.starts_with('/') && path.is_ascii(), "{path}");
    assert!(!path.split('/').any(|segment| segment == "." || segment == ".."), "{target} became {path}");

    let request =
        RequestHead { method: &Method::GET, scheme: "http", authority, path: &path, query, headers: &headers };
    redirect::https_location(&request);
    let (snapshot, _) = compile(world(pattern, replacement, value), worlds::settings());
    check_against_oracle(&snapshot, &request);
    for listener in snapshot.listeners() {
        let Found::Route { route, .. } = snapshot.lookup(listener, &request) else { continue };
        let mut upstream = headers.clone();
        hop_by_hop::remove(&mut upstream);
        match &route.action {
            RouteAction::Forward(forward) => {
                rewrite::rewritten_path(forward.rewrite.as_ref(), &route.condition, &path);
                let facts = header_operations::RequestFacts {
                    method: &Method::GET,
                    scheme: "http",
                    authority,
                    target,
                    version: Version::HTTP_11,
                    headers: &headers,
                    remote: SocketAddr::from(([127, 0, 0, 1], 1)),
                    local: SocketAddr::from(([127, 0, 0, 1], 2)),
                };
                let context = header_operations::FormatContext { request: Some(&facts), ..Default::default() };
                header_operations::apply(&forward.request_headers, &mut upstream, &context);
            }
            RouteAction::Redirect(to) => drop(redirect::location(to, route, &request)),
            RouteAction::DirectResponse(_) => {}
        }
    }
});

/// A Gateway and three rules: rewrite of a prefix, rewrite by expression, redirect.
fn world(pattern: &str, replacement: &str, value: &str) -> Vec<Resource> {
    let route = json!([{"destination": {"host": "b"}}]);
    let headers = json!({"request": {"set": {"x-a": value}, "add": {"x-b": value}}});
    let gateway = json!({"selector": {"istio": "ingressgateway"},
        "servers": [{"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}]});
    let routes = json!({"hosts": ["*"], "gateways": ["g"], "http": [
        {"match": [{"uri": {"prefix": pattern}, "ignoreUriCase": true}], "route": route, "headers": headers,
            "rewrite": {"uri": replacement}},
        {"match": [{"uri": {"regex": pattern}}], "route": route, "headers": headers,
            "rewrite": {"uriRegexRewrite": {"match": pattern, "rewrite": replacement}}},
        {"match": [{"headers": {"x": {}}}], "redirect": {"uri": replacement}},
        {"redirect": {"authority": replacement, "derivePort": "FROM_REQUEST_PORT"}},
    ]});
    [object("Gateway", "g", gateway), object("VirtualService", "v", routes)].into_iter().flatten().collect()
}

fn object(kind: &str, name: &str, spec: Value) -> Option<Resource> {
    let object = json!({"apiVersion": "networking.istio.io/v1", "kind": kind,
        "metadata": {"name": name, "namespace": "istio-system"}, "spec": spec});
    let manifest = Manifest::from_value(object, None, "default").ok().flatten()?;
    ingest(&manifest, &IngestContext { cluster_domain: "cluster.local".into() }).0
}
