//! Applying header operations.

use crate::model::headers::HeaderOperations;
use http::HeaderMap;

/// What Envoy's format operators are filled from; `None` prints as `-`.
#[derive(Clone, Copy, Debug, Default)]
pub struct FormatContext<'a> {
    pub request: Option<&'a RequestFacts<'a>>,
    pub response_headers: Option<&'a HeaderMap>,
    pub response_code: Option<u16>,
    pub upstream_host: Option<std::net::SocketAddr>,
    pub upstream_cluster: Option<&'a str>,
    pub route_name: Option<&'a str>,
    /// RFC 3339 with milliseconds, as Envoy's %START_TIME%.
    pub start_time: Option<&'a str>,
    pub hostname: Option<&'a str>,
}

/// The request side of a [`FormatContext`].
#[derive(Clone, Copy, Debug)]
pub struct RequestFacts<'a> {
    pub method: &'a http::Method,
    pub scheme: &'a str,
    pub authority: &'a str,
    /// Path and query.
    pub target: &'a str,
    pub version: http::Version,
    pub headers: &'a HeaderMap,
    pub remote: std::net::SocketAddr,
    pub local: std::net::SocketAddr,
}

/// Removes, then sets, then adds, as `operations` says. A value that comes out as no legal header value is left out.
pub fn apply(_operations: &HeaderOperations, _headers: &mut HeaderMap, _context: &FormatContext<'_>) {}
