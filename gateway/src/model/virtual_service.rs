//! Istio's VirtualService, and its HTTP part: which request goes where, and what is done to it.

use super::{
    export::Visibility,
    fault::Fault,
    forward_policy::ForwardPolicy,
    headers::HeaderOperations,
    host::HostPattern,
    l4_routes::{TcpRule, TlsRule},
    object::{Labels, Meta, ObjectId},
    string_match::StringMatch,
};
use bytes::Bytes;
use http::{HeaderName, StatusCode, uri::Scheme};
use std::sync::Arc;

#[derive(Clone, Debug, PartialEq)]
pub struct VirtualService {
    pub meta: Meta,
    /// Short names are expanded.
    pub hosts: Vec<HostPattern>,
    pub gateways: Vec<GatewayName>,
    pub visibility: Visibility,
    pub http: Vec<HttpRule>,
    pub tls: Vec<TlsRule>,
    pub tcp: Vec<TcpRule>,
}

/// A resolved entry of `gateways`: `namespace/name`. The reserved word `mesh` is not kept: no sidecar is ours.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GatewayName {
    pub namespace: Arc<str>,
    pub name: Arc<str>,
}

/// One `http[]` entry.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpRule {
    /// Index in `spec.http`.
    pub index: usize,
    pub name: Arc<str>,
    /// Empty: every request.
    pub matches: Vec<HttpMatch>,
    pub action: Action,
    /// Before an answer of the gateway's own: `fault` of a root whose delegate redirects or responds itself. A rule that
    /// forwards has its own in [`Forward::policy`].
    pub fault: Option<Arc<Fault>>,
    pub headers: HeaderRules,
    /// Where the rule was written, when this object delegates to another.
    pub delegate: Option<Arc<Delegated>>,
}

/// A rule of a delegate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delegated {
    pub object: ObjectId,
    /// Index in its `spec.http`.
    pub rule: usize,
}

/// Request and response operations of one level.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderRules {
    pub request: HeaderOperations,
    pub response: HeaderOperations,
    /// `Host` or `:authority` in request `set` (or, failing that, `add`): a rewrite of the authority, not a header.
    pub authority: Option<Arc<str>>,
}

/// One HTTPMatchRequest. Every condition given must hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HttpMatch {
    /// Index in `match`.
    pub index: usize,
    pub name: Arc<str>,
    pub uri: Option<StringMatch>,
    /// Acts on exact and prefix `uri`, not on regex.
    pub ignore_uri_case: bool,
    pub scheme: Option<StringMatch>,
    pub method: Option<StringMatch>,
    pub authority: Option<StringMatch>,
    pub headers: Vec<HeaderMatch>,
    pub query: Vec<QueryMatch>,
    /// The Gateway server's `port.number`.
    pub port: Option<u16>,
    /// When given, replaces the VirtualService's list for this entry, and the two source conditions are not looked at.
    pub gateways: Vec<GatewayName>,
    /// Compared with the gateway's own labels.
    pub source_labels: Labels,
    /// Compared with the gateway's own namespace.
    pub source_namespace: Option<Arc<str>>,
}

/// A condition on one request header, from `headers` or `withoutHeaders`.
#[derive(Clone, Debug, PartialEq)]
pub struct HeaderMatch {
    pub field: HeaderField,
    /// `None`: the header is there, whatever its value.
    pub value: Option<StringMatch>,
    /// From `withoutHeaders`: the condition is negated, and with a value a missing header counts as empty.
    pub invert: bool,
}

/// What a header condition looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderField {
    Name(HeaderName),
    Method,
    Authority,
    Scheme,
    /// The whole request target after normalisation: path and query.
    Path,
}

/// A condition on one query parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct QueryMatch {
    pub name: String,
    /// `None`: the parameter is there.
    pub value: Option<StringMatch>,
}

/// What happens to a request that matches.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    Forward(Forward),
    Redirect(Redirect),
    DirectResponse(DirectResponse),
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Forward {
    pub destinations: Vec<Destination>,
    pub rewrite: Option<Rewrite>,
    /// `None` when the rule has none.
    pub policy: Option<Box<ForwardPolicy>>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Destination {
    /// Short names are expanded.
    pub host: HostPattern,
    pub subset: Option<Arc<str>>,
    /// A Service port number.
    pub port: Option<u16>,
    /// As written; absent is 0. A single destination receives everything whatever it says.
    pub weight: u32,
    pub headers: HeaderRules,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rewrite {
    pub path: Option<PathRewrite>,
    pub authority: Option<Arc<str>>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum PathRewrite {
    /// `rewrite.uri`: replaces the matched prefix, or the whole path for an exact or regex match.
    Uri(Arc<str>),
    /// `rewrite.uriRegexRewrite`: replaces every occurrence in the path.
    Regex(RegexRewrite),
}

/// A search that is not anchored, and its substitution in the regex crate's `${1}` form.
#[derive(Clone, Debug)]
pub struct RegexRewrite {
    /// The author's pattern, in RE2's syntax.
    pub pattern: String,
    /// The author's substitution, with `\\1`.
    pub rewrite: String,
    pub compiled: regex::bytes::Regex,
    pub substitution: String,
}

impl PartialEq for RegexRewrite {
    fn eq(&self, other: &Self) -> bool {
        self.pattern == other.pattern && self.rewrite == other.rewrite
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Redirect {
    pub status: StatusCode,
    pub path: Option<RedirectPath>,
    pub authority: Option<Arc<str>>,
    pub scheme: Option<Scheme>,
    pub port: RedirectPort,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedirectPath {
    /// `uri`: the whole path.
    Uri(Arc<str>),
    /// `prefixRewrite`: only the matched prefix.
    Prefix(Arc<str>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RedirectPort {
    /// FROM_PROTOCOL_DEFAULT: the port in the Host header is left as it is.
    Unchanged,
    /// FROM_REQUEST_PORT: the Gateway server's `port.number`.
    GatewayPort,
    Number(u16),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectResponse {
    pub status: StatusCode,
    pub body: Bytes,
}
