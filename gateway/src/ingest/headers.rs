//! `headers` of a route or a destination: operations on request and response headers.

use super::{
    findings::{Findings, Path},
    header_template::{self, InvalidTemplate},
};
use crate::{
    istio::{common::StringMap, http_route as istio},
    model::{
        headers::{HeaderOperations, HeaderTemplate},
        virtual_service::HeaderRules,
    },
};
use http::HeaderName;

/// Whose headers the operations are on; a request's `Host` may be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Request,
    Response,
}

/// Reads `headers`. An operation that is refused is left out and reported; the others stay
/// (`TranslateHeadersOperations` in istio/pilot/pkg/networking/core/route/route.go).
pub(super) fn read(headers: Option<&istio::Headers>, path: &Path<'_>, findings: &mut Findings<'_>) -> HeaderRules {
    let Some(headers) = headers else { return HeaderRules::default() };
    let request = headers.request.as_ref();
    let authority = request.and_then(|request| {
        // `set` beats `add`; of two spellings in one map the last wins.
        let last = |map: &StringMap| {
            map.iter().filter(|(name, _)| is_authority(name)).map(|(_, value)| value.clone()).next_back()
        };
        last(&request.set).filter(|value| !value.is_empty()).or_else(|| last(&request.add))
    });
    HeaderRules {
        request: operations(request, Side::Request, &path.field("request"), findings),
        response: operations(headers.response.as_ref(), Side::Response, &path.field("response"), findings),
        authority: authority.filter(|value| !value.is_empty()).map(Into::into),
    }
}

/// Every value that `headers` gives the authority.
pub(super) fn authorities(headers: Option<&istio::Headers>) -> impl Iterator<Item = &str> {
    let request = headers.and_then(|headers| headers.request.as_ref());
    request
        .into_iter()
        .flat_map(|request| request.set.iter().chain(&request.add))
        .filter(|(name, _)| is_authority(name))
        .map(|(_, value)| value.as_str())
}

fn operations(
    operations: Option<&istio::HeaderOperations>,
    side: Side,
    path: &Path<'_>,
    findings: &mut Findings<'_>,
) -> HeaderOperations {
    let Some(operations) = operations else { return HeaderOperations::default() };
    let remove = operations
        .remove
        .iter()
        .enumerate()
        .filter_map(|(index, name)| header_name(name, &path.field("remove").index(index), findings));
    HeaderOperations {
        remove: remove.collect(),
        set: values(&operations.set, side, &path.field("set"), findings),
        add: values(&operations.add, side, &path.field("add"), findings),
    }
}

fn values(
    map: &StringMap,
    side: Side,
    path: &Path<'_>,
    findings: &mut Findings<'_>,
) -> Vec<(HeaderName, HeaderTemplate)> {
    let mut read = Vec::with_capacity(map.len());
    for (name, text) in map {
        let path = path.field(name);
        if side == Side::Request && is_authority(name) {
            // The rewrite of the authority is taken from here by `read`.
            continue;
        }
        let Some(name) = header_name(name, &path, findings) else { continue };
        match header_template::read(text) {
            Ok(template) => {
                if let Some(objection) = template.objection {
                    findings.invalid(&path, objection);
                }
                read.push((name, template.value));
            }
            Err(InvalidTemplate::Refused(reason)) => findings.invalid(&path, reason),
            Err(InvalidTemplate::NotServed(operator)) => {
                findings.not_served(&path, format_args!("the operator {operator}; the value is left out"));
            }
        }
    }
    read
}

/// The name of a header that may be changed (`ValidateHTTPHeaderOperationName` in validation.go).
fn header_name(name: &str, path: &Path<'_>, findings: &mut Findings<'_>) -> Option<HeaderName> {
    if name.is_empty() {
        findings.invalid(path, "has an empty header name");
    } else if name.eq_ignore_ascii_case("host") {
        findings.invalid(path, "is the Host header, which only request set and add can change");
    } else if name.starts_with(':') {
        findings.invalid(path, format!("{name:?} is a pseudo-header, which cannot be changed"));
    } else {
        match HeaderName::from_bytes(name.as_bytes()) {
            Ok(name) => return Some(name),
            Err(_invalid) => findings.invalid(path, format!("{name:?} is no header name")),
        }
    }
    None
}

fn is_authority(name: &str) -> bool {
    name.eq_ignore_ascii_case(":authority") || name.eq_ignore_ascii_case("host")
}
