//! A compiled route: one match entry of one rule, ready to be tested against a request.

use super::cluster::ClusterId;
use crate::{
    balance::weighted::WeightedDraw,
    model::{
        headers::HeaderOperations,
        object::ObjectId,
        string_match::{FullMatch, StringMatch},
        virtual_service::{DirectResponse, HeaderMatch, QueryMatch, Redirect, Rewrite},
    },
};
use std::sync::Arc;

/// Where a route was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteOrigin {
    pub object: ObjectId,
    /// `file:line` of the object, for objects from files.
    pub source: Option<Arc<str>>,
    /// `name` of the rule, with `.` and the match's name behind it when it has one; may be empty.
    pub name: Arc<str>,
    /// Index in `spec.http`.
    pub rule: usize,
    /// Index in the rule's `match`; 0 for a rule without any.
    pub entry: usize,
}

/// One route of a virtual host.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    pub origin: RouteOrigin,
    pub condition: Condition,
    pub action: RouteAction,
    /// The rule's own response header operations, for every answer of this route, local ones included.
    pub response_headers: HeaderOperations,
    /// `port.number` of the Gateway server through which the route was compiled.
    pub server_port: u16,
}

/// What a request must be for a route to apply: the path, and everything else.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    pub path: PathCondition,
    pub ignore_case: bool,
    /// On `:scheme`, `:method`, `:authority`.
    pub pseudo: Vec<(PseudoHeader, StringMatch)>,
    pub headers: Vec<HeaderMatch>,
    pub query: Vec<QueryMatch>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PseudoHeader {
    Method,
    Authority,
    Scheme,
}

/// The path condition, on the normalised path without the query.
#[derive(Clone, Debug, PartialEq)]
pub enum PathCondition {
    Exact(Arc<str>),
    /// A raw string prefix. `/` for an entry without `uri`.
    Prefix(Arc<str>),
    Regex(FullMatch),
}

/// What a route does with a request.
#[derive(Clone, Debug, PartialEq)]
pub enum RouteAction {
    Forward(ForwardAction),
    Redirect(Redirect),
    DirectResponse(DirectResponse),
}

/// Forwarding: a draw over destinations.
#[derive(Clone, Debug, PartialEq)]
pub struct ForwardAction {
    /// Destinations with weight 0 beside others are left out.
    pub destinations: Vec<RouteDestination>,
    /// Draws an index into `destinations`.
    pub draw: WeightedDraw,
    pub rewrite: Option<Rewrite>,
    /// The rule's request header operations, already in the order in which they act with the destination's: see
    /// [`RouteDestination::request_headers`].
    pub request_headers: HeaderOperations,
    /// The authority to send upstream, from `rewrite.authority` or a Host header operation of the rule.
    pub authority: Option<Arc<str>>,
    /// Whether the rule has one destination. Then its header operations act *after* the rule's; with several they act
    /// before (Istio puts the single destination's on the route, several on the weighted clusters, which Envoy applies
    /// first).
    pub single: bool,
}

/// One weighted destination.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteDestination {
    pub cluster: ClusterId,
    pub weight: u32,
    pub request_headers: HeaderOperations,
    pub response_headers: HeaderOperations,
    /// A Host header operation of the destination; the rule's own wins.
    pub authority: Option<Arc<str>>,
}
