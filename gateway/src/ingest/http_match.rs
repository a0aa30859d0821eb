//! `http[].match[]` of a VirtualService.

use super::{
    destination,
    findings::{Findings, Path},
    gateway_names, labels,
    labels::is_dns_label,
    string_match::{self, Condition},
};
use crate::{
    istio::{common::StringMatch as IstioMatch, http_route as istio},
    model::{
        string_match::StringMatch,
        virtual_service::{HeaderField, HeaderMatch, HttpMatch, QueryMatch},
    },
};
use http::HeaderName;

/// Reads the match at `index` of its list, in an object of `namespace` (`validateHTTPRouteMatchRequest` in
/// istio/pkg/config/validation/virtualservice.go). `None` when it can match nothing, or something in it is refused:
/// a match without one of its conditions would be another match.
pub(super) fn read(
    index: usize,
    request: &istio::HttpMatchRequest,
    namespace: &str,
    path: &Path<'_>,
    findings: &mut Findings<'_>,
) -> Option<HttpMatch> {
    let uri = condition(request.uri.as_ref(), string_match::read_uri, &path.field("uri"), findings);
    let scheme = condition(request.scheme.as_ref(), string_match::read, &path.field("scheme"), findings);
    let method = condition(request.method.as_ref(), string_match::read, &path.field("method"), findings);
    let authority = condition(request.authority.as_ref(), string_match::read, &path.field("authority"), findings);
    let mut headers = Vec::new();
    let with = read_headers(request, false, &path.field("headers"), findings, &mut headers);
    let without = read_headers(request, true, &path.field("withoutHeaders"), findings, &mut headers);
    let query = read_query(request, &path.field("queryParams"), findings);
    let port = match request.port {
        0 => Ok(None),
        number => destination::port(number, &path.field("port"), findings).map(Some).ok_or(()),
    };
    labels::check(&request.source_labels, &path.field("sourceLabels"), findings);
    let gateways = gateway_names::resolve(&request.gateways, namespace, &path.field("gateways"), findings);
    if !request.source_namespace.is_empty() && !is_dns_label(&request.source_namespace) {
        findings.invalid(&path.field("sourceNamespace"), format!("{:?} is no namespace", request.source_namespace));
    }
    if !request.stat_prefix.is_empty() {
        findings.not_served(&path.field("statPrefix"), "statistics of the match carry no prefix");
    }

    let complete = with && without;
    // Only sidecars are meant when every gateway named is `mesh`.
    let ours = request.gateways.is_empty() || !gateways.is_empty();
    if !complete || !ours {
        return None;
    }
    Some(HttpMatch {
        index,
        name: request.name.as_str().into(),
        uri: uri.ok()?,
        ignore_uri_case: request.ignore_uri_case,
        scheme: scheme.ok()?,
        method: method.ok()?,
        authority: authority.ok()?,
        headers,
        query: query?,
        port: port.ok()?,
        gateways,
        source_labels: labels::labels(&request.source_labels),
        source_namespace: (!request.source_namespace.is_empty()).then(|| request.source_namespace.as_str().into()),
    })
}

type Reader = fn(&IstioMatch, &Path<'_>, &mut Findings<'_>) -> Condition;

/// A condition on something every request has: presence says nothing. `Err` when it is refused.
fn condition(
    condition: Option<&IstioMatch>,
    read: Reader,
    path: &Path<'_>,
    findings: &mut Findings<'_>,
) -> Result<Option<StringMatch>, ()> {
    match condition.map(|condition| read(condition, path, findings)) {
        None | Some(Condition::Present) => Ok(None),
        Some(Condition::On(condition)) => Ok(Some(condition)),
        Some(Condition::Broken) => Err(()),
    }
}

/// Adds the conditions of `headers` or, with `invert`, of `withoutHeaders` to `matches`. `false` when one is refused or
/// cannot be served.
fn read_headers(
    request: &istio::HttpMatchRequest,
    invert: bool,
    path: &Path<'_>,
    findings: &mut Findings<'_>,
    matches: &mut Vec<HeaderMatch>,
) -> bool {
    let conditions = if invert { &request.without_headers } else { &request.headers };
    let mut complete = true;
    for (name, condition) in conditions {
        let path = path.field(name);
        let field = field(name, &path, findings);
        // `withoutHeaders` may say `*` for presence without an objection.
        let is_star = invert && condition.regex.as_deref() == Some("*");
        let value = if is_star { Condition::Present } else { string_match::read(condition, &path, findings) };
        let value = match value {
            Condition::Present => Some(None),
            Condition::On(condition) => Some(Some(condition)),
            Condition::Broken => None,
        };
        match (field, value) {
            (Some(field), Some(value)) => matches.push(HeaderMatch { field, value, invert }),
            _ => complete = false,
        }
    }
    complete
}

/// What the key of a header condition names (`ValidateHTTPHeaderNameOrJwtClaimRoute` in validation.go).
fn field(name: &str, path: &Path<'_>, findings: &mut Findings<'_>) -> Option<HeaderField> {
    match name {
        "" => {
            findings.invalid(path, "has an empty header name");
            None
        }
        ":method" => Some(HeaderField::Method),
        ":authority" => Some(HeaderField::Authority),
        ":scheme" => Some(HeaderField::Scheme),
        ":path" => Some(HeaderField::Path),
        ":status" => {
            findings.suspicious(path, "no request has a :status: the match is left out");
            None
        }
        name if is_jwt_claim(name) => {
            findings.not_served(path, "JWT claims are not verified; the match is left out");
            None
        }
        name => match HeaderName::from_bytes(name.as_bytes()) {
            Ok(name) => Some(HeaderField::Name(name)),
            Err(_invalid) => {
                findings.invalid(path, format!("{name:?} is no header name"));
                None
            }
        },
    }
}

/// `@request.auth.claims.a.b` or `@request.auth.claims[a][b]` (`ToRoutingClaim` in istio/pkg/jwt/routing.go).
pub(super) fn is_jwt_claim(name: &str) -> bool {
    const PREFIX: &str = "@request.auth.claims";
    let Some(claim) = name.get(PREFIX.len()..).filter(|_| name.to_ascii_lowercase().starts_with(PREFIX)) else {
        return false;
    };
    (claim.starts_with('.') && claim.len() > 1) || (claim.starts_with('[') && claim.ends_with(']') && claim.len() > 2)
}

fn read_query(
    request: &istio::HttpMatchRequest,
    path: &Path<'_>,
    findings: &mut Findings<'_>,
) -> Option<Vec<QueryMatch>> {
    let mut complete = true;
    let mut matches = Vec::with_capacity(request.query_params.len());
    for (name, condition) in &request.query_params {
        let path = path.field(name);
        if name.is_empty() {
            findings.invalid(&path, "has an empty parameter name, which freezes Envoy: the match is left out");
            complete = false;
            continue;
        }
        match string_match::read(condition, &path, findings) {
            Condition::Present => matches.push(QueryMatch { name: name.clone(), value: None }),
            Condition::On(value) => matches.push(QueryMatch { name: name.clone(), value: Some(value) }),
            Condition::Broken => complete = false,
        }
    }
    complete.then_some(matches)
}
