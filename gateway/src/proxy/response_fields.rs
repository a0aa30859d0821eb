//! What a route does to the fields of every answer it gives.

use super::{arrival::Arrived, client::Client};
use crate::{
    message::header_operations::{self, FormatContext, RequestFacts},
    model::headers::{HeaderOperations, HeaderTemplate},
    routing::route::{ForwardAction, Route, RouteAction, RouteDestination},
};
use http::{HeaderMap, Method, StatusCode, Version};
use std::{net::SocketAddr, sync::Arc};

/// The response operations of a route, and of its destination once one is drawn.
#[derive(Debug)]
pub(super) struct ResponseFields {
    route: Arc<Route>,
    /// Index of the destination.
    destination: Option<usize>,
    /// There only when some value is made from the request.
    request: Option<Box<SavedRequest>>,
    pub(super) upstream: Option<SocketAddr>,
}

/// The request as format operators see it, after the request itself has gone.
#[derive(Debug)]
struct SavedRequest {
    method: Method,
    authority: String,
    target: String,
    version: Version,
    headers: HeaderMap,
    remote: SocketAddr,
    local: SocketAddr,
}

impl ResponseFields {
    /// `None` when the route does nothing to answers.
    pub(super) fn of_route(client: &Client, route: &Arc<Route>, arrived: &Arrived) -> Option<Self> {
        Self::build(client, route, None, arrived)
    }

    /// The same for an answer of the destination with index `destination`.
    pub(super) fn of_destination(
        client: &Client,
        route: &Arc<Route>,
        destination: usize,
        arrived: &Arrived,
    ) -> Option<Self> {
        Self::build(client, route, Some(destination), arrived)
    }

    fn build(client: &Client, route: &Arc<Route>, destination: Option<usize>, arrived: &Arrived) -> Option<Self> {
        let mut fields = Self { route: Arc::clone(route), destination, request: None, upstream: None };
        let operations = fields.operations();
        if operations.iter().all(|operations| operations.is_empty()) {
            return None;
        }
        if operations.iter().any(|operations| needs_request(operations)) {
            fields.request = Some(Box::new(SavedRequest {
                method: arrived.method.clone(),
                authority: arrived.authority().to_owned(),
                target: arrived.target.to_string(),
                version: arrived.version,
                headers: arrived.headers.clone(),
                remote: client.peer,
                local: client.local,
            }));
        }
        Some(fields)
    }

    /// Changes `headers` of an answer with `status`.
    pub(super) fn apply(&self, status: StatusCode, headers: &mut HeaderMap) {
        for operations in self.operations() {
            if operations.is_empty() {
                continue;
            }
            // Operators read what the answer said before this level changed it.
            let before = needs_request(operations).then(|| headers.clone());
            let request = self.request.as_deref().map(SavedRequest::facts);
            let context = FormatContext {
                request: request.as_ref(),
                response_headers: before.as_ref(),
                response_code: Some(status.as_u16()),
                upstream_host: self.upstream,
                route_name: Some(&self.route.origin.name),
                ..FormatContext::default()
            };
            header_operations::apply(operations, headers, &context);
        }
    }

    /// In the order in which they act: see [`ForwardAction::single`].
    fn operations(&self) -> [&HeaderOperations; 2] {
        const NOTHING: &HeaderOperations =
            &HeaderOperations { remove: Vec::new(), set: Vec::new(), add: Vec::new() };
        let rule = &self.route.response_headers;
        match (&self.route.action, self.destination) {
            (RouteAction::Forward(action), Some(index)) => {
                in_order(action, rule, action.destinations.get(index).map_or(NOTHING, |d| &d.response_headers))
            }
            _ => [rule, NOTHING],
        }
    }
}

impl SavedRequest {
    fn facts(&self) -> RequestFacts<'_> {
        RequestFacts {
            method: &self.method,
            scheme: "http",
            authority: &self.authority,
            target: &self.target,
            version: self.version,
            headers: &self.headers,
            remote: self.remote,
            local: self.local,
        }
    }
}

/// Applies the request operations of the rule and of `destination` to `headers`, the head of `arrived`.
pub(super) fn apply_to_request(
    client: &Client,
    route: &Route,
    action: &ForwardAction,
    destination: &RouteDestination,
    arrived: &mut Arrived,
) {
    for operations in in_order(action, &action.request_headers, &destination.request_headers) {
        if operations.is_empty() {
            continue;
        }
        if !needs_request(operations) {
            header_operations::apply(operations, &mut arrived.headers, &FormatContext::default());
            continue;
        }
        let before = arrived.headers.clone();
        let target = arrived.target.to_string();
        let authority = arrived.authority().to_owned();
        let facts = RequestFacts {
            method: &arrived.method,
            scheme: "http",
            authority: &authority,
            target: &target,
            version: arrived.version,
            headers: &before,
            remote: client.peer,
            local: client.local,
        };
        let context = FormatContext {
            request: Some(&facts),
            route_name: Some(&route.origin.name),
            ..FormatContext::default()
        };
        header_operations::apply(operations, &mut arrived.headers, &context);
    }
}

fn in_order<'a>(
    action: &ForwardAction,
    rule: &'a HeaderOperations,
    destination: &'a HeaderOperations,
) -> [&'a HeaderOperations; 2] {
    if action.single { [rule, destination] } else { [destination, rule] }
}

/// Whether some value holds format operators.
fn needs_request(operations: &HeaderOperations) -> bool {
    operations.set.iter().chain(&operations.add).any(|(_, value)| matches!(value, HeaderTemplate::Format(_)))
}
