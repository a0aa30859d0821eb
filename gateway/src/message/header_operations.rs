//! Applying header operations.

use super::http_version;
use crate::{
    model::headers::{FormatOperator, HeaderTemplate, TemplatePart},
    routing::route::{HeaderEdits, PutMode},
};
use http::{HeaderMap, HeaderValue};
use std::fmt::Write;

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

/// Removes, then sets and adds in order. A value that comes out as no legal header value is left out, and so is a put
/// whose value comes out empty (Envoy's `keep_empty_value: false`).
pub fn apply(edits: &HeaderEdits, headers: &mut HeaderMap, context: &FormatContext<'_>) {
    for name in &edits.remove {
        headers.remove(name);
    }
    // What is set comes before what is added, whichever level of a rule said it (`HeaderParser::evaluateHeaders` in envoy's
    // source/common/router/header_parser.cc).
    let of_mode = |mode| edits.put.iter().filter(move |put| put.mode == mode);
    for put in of_mode(PutMode::Set).chain(of_mode(PutMode::Add)) {
        let Some(value) = render(&put.value, context) else { continue };
        match put.mode {
            PutMode::Set => _ = headers.insert(put.name.clone(), value),
            PutMode::Add => _ = headers.append(put.name.clone(), value),
        }
    }
}

fn render(template: &HeaderTemplate, context: &FormatContext<'_>) -> Option<HeaderValue> {
    match template {
        HeaderTemplate::Literal(value) => (!value.is_empty()).then(|| value.clone()),
        HeaderTemplate::Format(parts) => {
            let mut text = String::new();
            for part in parts {
                match part {
                    TemplatePart::Text(literal) => text.push_str(literal),
                    TemplatePart::Operator(operator) => context.print(operator, &mut text),
                }
            }
            if text.is_empty() { None } else { HeaderValue::try_from(text).ok() }
        }
    }
}

impl FormatContext<'_> {
    fn print(&self, operator: &FormatOperator, text: &mut String) {
        let request = self.request;
        // Writing to a String cannot fail.
        let _ = match operator {
            FormatOperator::DownstreamRemoteAddress => request.map(|r| write!(text, "{}", r.remote)),
            FormatOperator::DownstreamRemoteAddressWithoutPort => request.map(|r| write!(text, "{}", r.remote.ip())),
            FormatOperator::DownstreamLocalAddress => request.map(|r| write!(text, "{}", r.local)),
            FormatOperator::DownstreamLocalAddressWithoutPort => request.map(|r| write!(text, "{}", r.local.ip())),
            FormatOperator::DownstreamLocalPort => request.map(|r| write!(text, "{}", r.local.port())),
            FormatOperator::Protocol => request.map(|r| write!(text, "{}", http_version::name(r.version))),
            FormatOperator::Request { name, alternative, max_length } => request.map(|r| {
                let value = r.field(name).or_else(|| r.field(alternative.as_deref()?));
                push_limited(text, value.unwrap_or_default(), *max_length);
                Ok(())
            }),
            FormatOperator::Response { name, alternative, max_length } => self.response_headers.map(|headers| {
                let field = |name: &str| headers.get(name)?.to_str().ok();
                let value = field(name).or_else(|| field(alternative.as_deref()?));
                push_limited(text, value.unwrap_or_default(), *max_length);
                Ok(())
            }),
            FormatOperator::ResponseCode => self.response_code.map(|code| write!(text, "{code}")),
            FormatOperator::RouteName => self.route_name.map(|name| write!(text, "{name}")),
            FormatOperator::UpstreamHost => self.upstream_host.map(|address| write!(text, "{address}")),
            FormatOperator::UpstreamCluster => self.upstream_cluster.map(|cluster| write!(text, "{cluster}")),
            FormatOperator::StartTime => self.start_time.map(|time| write!(text, "{time}")),
            FormatOperator::Hostname => self.hostname.map(|name| write!(text, "{name}")),
        };
    }
}

impl RequestFacts<'_> {
    fn field(&self, name: &str) -> Option<&str> {
        match name {
            ":method" => Some(self.method.as_str()),
            ":scheme" => Some(self.scheme),
            ":authority" => Some(self.authority),
            ":path" => Some(self.target),
            _ if name.eq_ignore_ascii_case("host") => Some(self.authority),
            _ => self.headers.get(name)?.to_str().ok(),
        }
    }
}

/// Appends at most `limit` bytes of `value`; header values that reach this point are ASCII.
fn push_limited(text: &mut String, value: &str, limit: Option<usize>) {
    text.push_str(limit.and_then(|limit| value.get(..limit)).unwrap_or(value));
}
