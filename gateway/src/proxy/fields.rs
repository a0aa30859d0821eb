//! What a route does to the fields of a request and of every answer to it.

use super::{arrival::Arrived, client::Client};
use crate::{
    message::{
        cors,
        header_operations::{self, FormatContext, RequestFacts},
    },
    model::headers::HeaderTemplate,
    routing::{
        cluster::Cluster,
        route::{ForwardAction, HeaderEdits, Route, RouteAction, RouteDestination},
    },
    telemetry::access_log::Utc,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version};
use std::{net::SocketAddr, sync::Arc, time::SystemTime};

/// The response edits of a route, and of its destination once one is drawn.
#[derive(Debug)]
pub(super) struct ResponseFields {
    route: Arc<Route>,
    /// Index of the destination.
    destination: Option<usize>,
    /// There only when some value is made from the request.
    request: Option<Box<SavedRequest>>,
    pub(super) upstream: Option<SocketAddr>,
    cluster: Option<Arc<str>>,
    hostname: Arc<str>,
    /// Who may read the answer by the route's CORS policy.
    origin: Option<HeaderValue>,
}

/// The request as format operators see it, after the request itself has gone.
#[derive(Debug)]
struct SavedRequest {
    method: Method,
    scheme: &'static str,
    authority: String,
    target: String,
    version: Version,
    headers: HeaderMap,
    remote: SocketAddr,
    local: SocketAddr,
    began: String,
}

const NOTHING: &HeaderEdits = &HeaderEdits { remove: Vec::new(), put: Vec::new() };

impl ResponseFields {
    /// `None` when the route does nothing to answers.
    pub(super) fn of_route(client: &Client, route: &Arc<Route>, arrived: &Arrived) -> Option<Self> {
        Self::build(client, route, None, arrived, None, None)
    }

    /// The same for an answer of the destination with index `destination`, which is `cluster`.
    pub(super) fn of_destination(
        client: &Client,
        route: &Arc<Route>,
        destination: usize,
        cluster: &Cluster,
        arrived: &Arrived,
        origin: Option<HeaderValue>,
    ) -> Option<Self> {
        Self::build(client, route, Some(destination), arrived, Some(cluster), origin)
    }

    fn build(
        client: &Client,
        route: &Arc<Route>,
        destination: Option<usize>,
        arrived: &Arrived,
        cluster: Option<&Cluster>,
        origin: Option<HeaderValue>,
    ) -> Option<Self> {
        let edits = edits(route, destination);
        if edits.iter().all(|edits| edits.is_empty()) && origin.is_none() {
            return None;
        }
        let request =
            edits.iter().any(|edits| reads_message(edits)).then(|| Box::new(SavedRequest::of(client, arrived)));
        let cluster = cluster.map(|cluster| Arc::clone(&cluster.label));
        let hostname = Arc::clone(&client.worker.settings().hostname);
        Some(Self { route: Arc::clone(route), destination, request, upstream: None, cluster, hostname, origin })
    }

    /// Changes `headers` of an answer with `status`.
    pub(super) fn apply(&self, status: StatusCode, headers: &mut HeaderMap) {
        let request = self.request.as_deref().map(SavedRequest::facts);
        for edits in edits(&self.route, self.destination) {
            if edits.is_empty() {
                continue;
            }
            // Operators read what the answer said before this level changed it.
            let before = reads_message(edits).then(|| headers.clone());
            let context = FormatContext {
                request: request.as_ref(),
                response_headers: before.as_ref(),
                response_code: Some(status.as_u16()),
                upstream_host: self.upstream,
                upstream_cluster: self.cluster.as_deref(),
                route_name: Some(&self.route.origin.name),
                start_time: self.request.as_deref().map(|request| &*request.began),
                hostname: Some(&self.hostname),
            };
            header_operations::apply(edits, headers, &context);
        }
        // Envoy's CORS filter sees the answer after the router.
        if let (Some(origin), RouteAction::Forward(action)) = (&self.origin, &self.route.action)
            && let Some(cors) = action.policy.as_ref().and_then(|policy| policy.cors.as_ref())
        {
            cors::name_origin(cors, origin, headers);
        }
    }
}

impl SavedRequest {
    fn of(client: &Client, arrived: &Arrived) -> Self {
        Self {
            method: arrived.method.clone(),
            scheme: arrived.scheme,
            authority: arrived.authority().to_owned(),
            target: arrived.target.to_string(),
            version: arrived.version,
            headers: arrived.headers.clone(),
            remote: arrived.remote,
            local: client.local,
            began: Utc(SystemTime::now()).to_string(),
        }
    }

    fn facts(&self) -> RequestFacts<'_> {
        RequestFacts {
            method: &self.method,
            scheme: self.scheme,
            authority: &self.authority,
            target: &self.target,
            version: self.version,
            headers: &self.headers,
            remote: self.remote,
            local: self.local,
        }
    }
}

/// Applies the request edits of `destination`, then those of its rule, to the head of `arrived`.
pub(super) fn apply_to_request(
    client: &Client,
    route: &Route,
    action: &ForwardAction,
    destination: &RouteDestination,
    cluster: &Cluster,
    arrived: &mut Arrived,
) {
    for edits in [&destination.request_headers, &action.request_headers] {
        if edits.is_empty() {
            continue;
        }
        let saved = reads_message(edits).then(|| SavedRequest::of(client, arrived));
        let facts = saved.as_ref().map(SavedRequest::facts);
        let context = FormatContext {
            request: facts.as_ref(),
            upstream_cluster: Some(&cluster.label),
            route_name: Some(&route.origin.name),
            start_time: saved.as_ref().map(|saved| &*saved.began),
            hostname: Some(&client.worker.settings().hostname),
            ..FormatContext::default()
        };
        header_operations::apply(edits, &mut arrived.headers, &context);
    }
}

/// The response edits in the order in which they act: the destination's, then the rule's.
fn edits(route: &Route, destination: Option<usize>) -> [&HeaderEdits; 2] {
    let of_destination = match (&route.action, destination) {
        (RouteAction::Forward(action), Some(index)) => action.destinations.get(index).map(|d| &d.response_headers),
        _ => None,
    };
    [of_destination.unwrap_or(NOTHING), &route.response_headers]
}

/// Whether some value holds format operators.
fn reads_message(edits: &HeaderEdits) -> bool {
    edits.put.iter().any(|put| matches!(put.value, HeaderTemplate::Format(_)))
}
