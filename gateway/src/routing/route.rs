//! A compiled route: one match entry of one rule, ready to be tested against a request.

use super::{
    cluster::{ClusterId, ClusterName},
    route_policy::{self, RoutePolicy},
    snapshot::Snapshot,
};
use crate::{
    balance::weighted::WeightedDraw,
    model::{
        fault::Fault,
        headers::{HeaderOperations, HeaderTemplate},
        object::ObjectId,
        string_match::{FullMatch, StringMatch},
        virtual_service::{Delegated, DirectResponse, HeaderMatch, QueryMatch, Redirect, Rewrite},
    },
};
use http::HeaderName;
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
    /// Index in the rule's `match`; 0 for a rule without any. Of a delegate's rule, in the matches of both together.
    pub entry: usize,
    /// The delegate's rule, when the rule of `object` delegates.
    pub delegate: Option<Arc<Delegated>>,
}

/// One route of a virtual host.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    pub origin: RouteOrigin,
    pub condition: Condition,
    pub action: RouteAction,
    /// Before a redirect or a direct response; where requests are forwarded, faults are in [`ForwardAction::policy`].
    pub fault: Option<Arc<Fault>>,
    /// The rule's own response header operations, for every answer of this route, local ones included.
    pub response_headers: HeaderEdits,
    pub operation: Operation,
    /// `port.number` of the Gateway server through which the route was compiled.
    pub server_port: u16,
}

/// What `x-envoy-decorator-operation` says (`GetRouteOperation` in istio's route.go).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// One destination: `reviews.default.svc.cluster.local:9080` of its cluster, then this: `/reviews*`.
    Cluster(Arc<str>),
    /// Several, or none: `reviews:80/reviews*`.
    Rule(Arc<str>),
}

impl Operation {
    /// The text for a request that goes to `cluster`.
    pub fn text(&self, cluster: &ClusterName) -> String {
        match self {
            Self::Cluster(path) => format!("{}:{}{path}", cluster.host, cluster.port),
            Self::Rule(text) => text.to_string(),
        }
    }
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
    /// The rule names one destination, rather than one with a weight beside others without.
    pub names_one: bool,
    /// Draws an index into `destinations`.
    pub draw: WeightedDraw,
    pub rewrite: Option<Rewrite>,
    /// `None` when the rule has none.
    pub policy: Option<Arc<RoutePolicy>>,
    /// The rule's request header edits, which act *after* those of the drawn destination. A rule's only destination has
    /// its edits here, behind the rule's own, and none of its own (`applyHTTPRouteDestination` in istio's route.go).
    pub request_headers: HeaderEdits,
    /// The authority to send upstream: `rewrite.authority`, else a Host header operation of the rule, else one of its
    /// only destination. It wins over [`RouteDestination::authority`].
    pub authority: Option<Arc<str>>,
}

impl ForwardAction {
    /// Whether a retry may go to the endpoint that has just failed: as the rule says, else if its only destination is hashed
    /// (`ConvertPolicy` in istio's retry.go, `applyHTTPRouteDestination` in its route.go).
    pub fn stays_with_endpoint(&self, snapshot: &Snapshot) -> bool {
        let is_hashed = || {
            let mut destinations = self.destinations.iter();
            self.names_one && destinations.any(|only| snapshot.cluster(only.cluster).is_hashed)
        };
        route_policy::retries(self.policy.as_deref()).ignore_previous_hosts.map_or_else(is_hashed, |ignores| !ignores)
    }
}

/// One weighted destination.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteDestination {
    pub cluster: ClusterId,
    /// 100 for a rule's only destination.
    pub weight: u32,
    pub request_headers: HeaderEdits,
    /// Act before [`Route::response_headers`].
    pub response_headers: HeaderEdits,
    /// A Host header operation of one of several destinations.
    pub authority: Option<Arc<str>>,
}

/// Header operations in the order in which they act: every removal, then sets and adds one by one
/// (`HeaderParser::evaluateHeaders` in envoy's source/common/router/header_parser.cc).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderEdits {
    pub remove: Vec<HeaderName>,
    pub put: Vec<HeaderPut>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderPut {
    pub name: HeaderName,
    pub value: HeaderTemplate,
    pub mode: PutMode,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutMode {
    /// Overwrites every value.
    Set,
    /// Adds one value.
    Add,
}

impl HeaderEdits {
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.put.is_empty()
    }

    /// Lets `operations` act behind what is there already.
    pub fn then(mut self, operations: &HeaderOperations) -> Self {
        self.remove.extend(operations.remove.iter().cloned());
        let put = |mode| {
            move |(name, value): &(HeaderName, HeaderTemplate)| HeaderPut {
                name: name.clone(),
                value: value.clone(),
                mode,
            }
        };
        self.put.extend(operations.set.iter().map(put(PutMode::Set)));
        self.put.extend(operations.add.iter().map(put(PutMode::Add)));
        self
    }
}

impl From<&HeaderOperations> for HeaderEdits {
    fn from(operations: &HeaderOperations) -> Self {
        Self::default().then(operations)
    }
}
