//! Header values with Envoy's format operators in them.

use crate::model::headers::{FormatOperator, HeaderTemplate, TemplatePart};
use http::HeaderValue;

/// Why a value cannot be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum InvalidTemplate {
    /// Istio's webhook refuses it, or Envoy would.
    Refused(String),
    /// An operator that Envoy has and we do not serve.
    NotServed(String),
}

/// A value that can be served, and what Istio's webhook has against it all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template {
    pub(super) value: HeaderTemplate,
    pub(super) objection: Option<String>,
}

/// Reads `text`: `%%` is a percent sign, `%NAME%` or `%NAME(arguments)%` an operator (`validateHeaderValue` in
/// istio/pkg/config/validation/header_value_validator.go).
///
/// # Errors
/// When the value cannot be sent.
pub(super) fn read(text: &str) -> Result<Template, InvalidTemplate> {
    if text.bytes().any(|b| (b < b' ' && b != b'\t') || b == 0x7f) {
        return Err(InvalidTemplate::Refused(format!("{text:?} has control characters, which no header may carry")));
    }
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut objection = None;
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        literal.push_str(before);
        if let Some(after) = after.strip_prefix('%') {
            literal.push('%');
            rest = after;
            continue;
        }
        let end = operator_end(after).ok_or_else(|| {
            InvalidTemplate::Refused(format!("{text:?} has a % that begins no operator: write %% for a percent sign"))
        })?;
        let (expression, after) = after.split_at(end);
        rest = after.strip_prefix('%').unwrap_or(after);
        if !literal.is_empty() {
            parts.push(TemplatePart::Text(std::mem::take(&mut literal)));
        }
        let (operator, has_length) = operator(expression)?;
        if has_length {
            objection =
                Some(format!("%{expression}% has a length, which Istio's webhook refuses although Envoy serves it"));
        }
        parts.push(TemplatePart::Operator(operator));
    }
    literal.push_str(rest);
    if parts.is_empty() {
        let value = HeaderValue::from_bytes(literal.as_bytes())
            .map_err(|_invalid| InvalidTemplate::Refused(format!("{text:?} is no header value")))?;
        return Ok(Template { value: HeaderTemplate::Literal(value), objection });
    }
    if !literal.is_empty() {
        parts.push(TemplatePart::Text(literal));
    }
    Ok(Template { value: HeaderTemplate::Format(parts), objection })
}

/// Where the `%` is that ends an operator: the first one outside of its parentheses.
fn operator_end(text: &str) -> Option<usize> {
    match (text.find('%'), text.find('(')) {
        (Some(percent), Some(open)) if open < percent => {
            let close = open + text.get(open..)?.find(')')?;
            text.get(close..)?.find('%').map(|at| close + at)
        }
        (percent, _) => percent,
    }
}

/// Reads `NAME`, `NAME(arguments)` or `NAME(arguments):length`; also says whether there was a length.
fn operator(expression: &str) -> Result<(FormatOperator, bool), InvalidTemplate> {
    let (name, arguments, length) = match expression.split_once('(') {
        Some((name, rest)) => {
            let (arguments, tail) = rest.split_once(')').unwrap_or((rest, ""));
            (name, Some(arguments), tail.trim_matches(' '))
        }
        None => (expression, None, ""),
    };
    let max_length = match length.strip_prefix(':') {
        Some(digits) => {
            Some(digits.parse::<usize>().map_err(|_invalid| {
                InvalidTemplate::Refused(format!("%{expression}% has no number after its colon"))
            })?)
        }
        None if length.is_empty() => None,
        None => return Err(InvalidTemplate::Refused(format!("%{expression}% has text between ) and %: remove it"))),
    };
    let operator = match (name, arguments) {
        ("REQ", Some(headers)) => {
            let (name, alternative) = header_names(expression, headers)?;
            FormatOperator::Request { name, alternative, max_length }
        }
        ("RESP", Some(headers)) => {
            let (name, alternative) = header_names(expression, headers)?;
            FormatOperator::Response { name, alternative, max_length }
        }
        ("REQ" | "RESP", None) => {
            return Err(InvalidTemplate::Refused(format!("%{expression}% names no header: write %{name}(name)%")));
        }
        (name, None) => simple(name, expression)?,
        (name, Some(_)) if is_known_to_envoy(name) || simple(name, expression).is_ok() => {
            return Err(InvalidTemplate::NotServed(format!("%{expression}%")));
        }
        _ => return Err(unknown(expression)),
    };
    Ok((operator, max_length.is_some()))
}

fn simple(name: &str, expression: &str) -> Result<FormatOperator, InvalidTemplate> {
    Ok(match name {
        "DOWNSTREAM_REMOTE_ADDRESS" => FormatOperator::DownstreamRemoteAddress,
        "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT" => FormatOperator::DownstreamRemoteAddressWithoutPort,
        "DOWNSTREAM_LOCAL_ADDRESS" => FormatOperator::DownstreamLocalAddress,
        "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT" => FormatOperator::DownstreamLocalAddressWithoutPort,
        "DOWNSTREAM_LOCAL_PORT" => FormatOperator::DownstreamLocalPort,
        "PROTOCOL" => FormatOperator::Protocol,
        "RESPONSE_CODE" => FormatOperator::ResponseCode,
        "ROUTE_NAME" => FormatOperator::RouteName,
        "UPSTREAM_HOST" => FormatOperator::UpstreamHost,
        "UPSTREAM_CLUSTER" => FormatOperator::UpstreamCluster,
        "START_TIME" => FormatOperator::StartTime,
        "HOSTNAME" => FormatOperator::Hostname,
        name if is_known_to_envoy(name) => return Err(InvalidTemplate::NotServed(format!("%{expression}%"))),
        _ => return Err(unknown(expression)),
    })
}

fn unknown(expression: &str) -> InvalidTemplate {
    InvalidTemplate::Refused(format!(
        "%{expression}% is no operator of Envoy's: the value is left out; write %% for a percent sign"
    ))
}

/// `name`, or `name?alternative`.
fn header_names(expression: &str, names: &str) -> Result<(String, Option<String>), InvalidTemplate> {
    let (name, alternative) = names.split_once('?').map_or((names, None), |(name, other)| (name, Some(other)));
    let is_name = |name: &str| {
        let name = name.strip_prefix(':').unwrap_or(name);
        http::HeaderName::from_bytes(name.as_bytes()).is_ok()
    };
    if !is_name(name) || !alternative.is_none_or(is_name) {
        return Err(InvalidTemplate::Refused(format!("%{expression}% names no header")));
    }
    Ok((name.to_ascii_lowercase(), alternative.map(str::to_ascii_lowercase)))
}

/// Operators of Envoy beyond those of [`FormatOperator`]
/// (docs/root/configuration/observability/access_log/usage.rst in envoyproxy/envoy).
fn is_known_to_envoy(name: &str) -> bool {
    const FAMILIES: [&str; 9] = [
        "DOWNSTREAM_",
        "UPSTREAM_",
        "REQUEST_",
        "RESPONSE_",
        "BYTES_",
        "CONNECTION_",
        "GRPC_STATUS",
        "TRACE_ID",
        "SPAN_ID",
    ];
    const OTHERS: [&str; 32] = [
        "ACCESS_LOG_TYPE",
        "CEL",
        "COALESCE",
        "COMMON_DURATION",
        "CUSTOM_FLAGS",
        "DURATION",
        "DYNAMIC_METADATA",
        "EMIT_TIME",
        "ENVIRONMENT",
        "FILTER_CHAIN_NAME",
        "FILTER_STATE",
        "HOSTNAME",
        "METADATA",
        "PATH",
        "PER_REQUEST_STATE",
        "PROTOCOL",
        "QUERY_PARAM",
        "QUERY_PARAMS",
        "REQ",
        "REQ_WITHOUT_QUERY",
        "REQUESTED_SERVER_NAME",
        "RESP",
        "ROUNDTRIP_DURATION",
        "ROUTE_NAME",
        "SECURE_SESSION_ID",
        "START_TIME",
        "START_TIME_LOCAL",
        "STREAM_ID",
        "TLS_JA3_FINGERPRINT",
        "TRAILER",
        "UNIQUE_ID",
        "VIRTUAL_CLUSTER_NAME",
    ];
    OTHERS.contains(&name) || FAMILIES.iter().any(|family| name.starts_with(family))
}

#[cfg(test)]
mod tests;
