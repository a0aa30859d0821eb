//! Header operations of a route or a destination.

use http::{HeaderName, HeaderValue};

/// `headers.request` or `headers.response`: applied as remove, then set, then add, each in the order of its sorted keys
/// (`TranslateHeadersOperations` in istio/pilot/pkg/networking/core/route/route.go).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderOperations {
    pub remove: Vec<HeaderName>,
    /// Overwrites every value of the name.
    pub set: Vec<(HeaderName, HeaderTemplate)>,
    /// Adds one more value.
    pub add: Vec<(HeaderName, HeaderTemplate)>,
}

impl HeaderOperations {
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.set.is_empty() && self.add.is_empty()
    }
}

/// A header value as the user wrote it: literal text, or Envoy's format operators in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderTemplate {
    Literal(HeaderValue),
    Format(Vec<TemplatePart>),
}

/// One piece of a [`HeaderTemplate::Format`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TemplatePart {
    Text(String),
    Operator(FormatOperator),
}

/// The format operators of Envoy that are served in header values
/// (docs/root/configuration/observability/access_log/usage.rst in envoyproxy/envoy).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FormatOperator {
    DownstreamRemoteAddress,
    DownstreamRemoteAddressWithoutPort,
    DownstreamLocalAddress,
    DownstreamLocalAddressWithoutPort,
    DownstreamLocalPort,
    Protocol,
    /// `%REQ(name?alternative):length%`; a name may be one of the pseudo-headers `:method`, `:path`, `:authority`, `:scheme`.
    Request {
        name: String,
        alternative: Option<String>,
        max_length: Option<usize>,
    },
    /// `%RESP(name?alternative):length%`
    Response {
        name: String,
        alternative: Option<String>,
        max_length: Option<usize>,
    },
    ResponseCode,
    RouteName,
    UpstreamHost,
    UpstreamCluster,
    /// `%START_TIME%` in Envoy's default form.
    StartTime,
    Hostname,
}
