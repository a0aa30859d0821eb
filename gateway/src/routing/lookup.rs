//! The question and the answer of a lookup.

use super::{route::Route, snapshot::VirtualHost};
use http::{HeaderMap, Method};

/// What routing looks at in a request, after path normalisation (`message::path`).
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'a> {
    pub method: &'a Method,
    /// `http` or `https`: the listener's, whatever the client says; what a trusted proxy says.
    pub scheme: &'a str,
    /// Host header or authority as the client sent it, port included.
    pub authority: &'a str,
    /// Normalised, without the query.
    pub path: &'a str,
    /// What follows the first `?`; `None` without one.
    pub query: Option<&'a str>,
    pub headers: &'a HeaderMap,
}

/// The answer of a lookup.
#[derive(Clone, Copy, Debug)]
pub enum Found<'s> {
    /// No virtual host matches the authority: 404 NR.
    NoVirtualHost,
    /// The virtual host redirects everything to https: 301.
    RequireTls {
        host: &'s VirtualHost,
    },
    /// No route of the virtual host matches; there is no falling through to a wider host: 404 NR.
    NoRoute {
        host: &'s VirtualHost,
    },
    Route {
        host: &'s VirtualHost,
        route: &'s std::sync::Arc<Route>,
    },
}

/// Observes a lookup. Every method has an empty body, so that the data plane pays nothing.
pub trait Trace {
    /// The virtual host was chosen.
    fn virtual_host(&mut self, _host: &VirtualHost) {}
    /// A route was tested; `failed` names the first condition that did not hold, `None` when all did.
    fn route(&mut self, _route: &Route, _failed: Option<FailedCondition<'_>>) {}
    /// Whether the trace wants every route before the winner, not only those the index had to look at.
    const EXHAUSTIVE: bool = false;
}

/// The data plane's trace: nothing.
#[derive(Clone, Copy, Debug)]
pub struct NoTrace;

impl Trace for NoTrace {}

/// The first condition of a route that a request did not meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailedCondition<'a> {
    Path,
    Scheme,
    Method,
    Authority,
    Header(&'a str),
    Query(&'a str),
}
