//! Testing one route's conditions against one request: every field of HTTPMatchRequest
//! (`TranslateRouteMatch` in istio/pilot/pkg/networking/core/route/route.go, and Envoy's router on its result).

use super::{
    lookup::{FailedCondition, RequestHead},
    route::{Condition, PathCondition, PseudoHeader},
};
use crate::model::{
    string_match::StringMatch,
    virtual_service::{HeaderField, HeaderMatch, QueryMatch},
};

impl Condition {
    /// Whether the path is all there is to test.
    pub fn only_path(&self) -> bool {
        self.pseudo.is_empty() && self.headers.is_empty() && self.query.is_empty()
    }

    /// Whether the path condition takes every path (`IsCatchAllRoute` in istio's route.go).
    pub fn is_catch_all(&self) -> bool {
        let every_path = match &self.path {
            PathCondition::Prefix(prefix) => &**prefix == "/",
            PathCondition::Regex(regex) => regex.pattern == ".*",
            PathCondition::Exact(_) => false,
        };
        every_path && self.only_path()
    }

    /// The first condition `request` does not meet; `None` when it meets all of them.
    pub fn failed(&self, request: &RequestHead<'_>) -> Option<FailedCondition<'_>> {
        if !self.path_holds(request.path) { Some(FailedCondition::Path) } else { self.failed_beside_path(request) }
    }

    pub(super) fn path_holds(&self, path: &str) -> bool {
        let (path, ignore_case) = (path.as_bytes(), self.ignore_case);
        match &self.path {
            PathCondition::Exact(exact) if ignore_case => exact.as_bytes().eq_ignore_ascii_case(path),
            PathCondition::Exact(exact) => exact.as_bytes() == path,
            PathCondition::Prefix(prefix) if ignore_case => {
                path.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
            }
            PathCondition::Prefix(prefix) => path.starts_with(prefix.as_bytes()),
            PathCondition::Regex(regex) => regex.compiled.is_match(path),
        }
    }

    pub(super) fn failed_beside_path(&self, request: &RequestHead<'_>) -> Option<FailedCondition<'_>> {
        for (field, condition) in &self.pseudo {
            let (text, failed) = match field {
                PseudoHeader::Method => (request.method.as_str(), FailedCondition::Method),
                PseudoHeader::Authority => (request.authority, FailedCondition::Authority),
                PseudoHeader::Scheme => (request.scheme, FailedCondition::Scheme),
            };
            if !condition.matches(text.as_bytes()) {
                return Some(failed);
            }
        }
        if let Some(header) = self.headers.iter().find(|condition| !header_holds(condition, request)) {
            return Some(FailedCondition::Header(field_name(&header.field)));
        }
        self.query
            .iter()
            .find(|condition| !query_holds(condition, request.query))
            .map(|q| FailedCondition::Query(&q.name))
    }
}

/// A header condition. Several values of one name are tested one by one and one hit suffices; they are neither joined nor
/// split. Negated, one hit fails, and with a value to compare a missing header counts as empty.
fn header_holds(condition: &HeaderMatch, request: &RequestHead<'_>) -> bool {
    let pseudo = match &condition.field {
        HeaderField::Name(name) => {
            let mut values = request.headers.get_all(name).iter().map(http::HeaderValue::as_bytes).peekable();
            let hit = match (&condition.value, values.peek()) {
                (None, first) => first.is_some(),
                (Some(value), None) => condition.invert && value.matches(b""),
                (Some(value), Some(_)) => values.any(|text| value.matches(text)),
            };
            return hit != condition.invert;
        }
        HeaderField::Method => request.method.as_str(),
        HeaderField::Authority => request.authority,
        HeaderField::Scheme => request.scheme,
        HeaderField::Path => {
            let hit = match (&condition.value, request.query) {
                (None, _) => true,
                (Some(value), None) => value.matches(request.path.as_bytes()),
                (Some(value), Some(query)) => value.matches(format!("{}?{query}", request.path).as_bytes()),
            };
            return hit != condition.invert;
        }
    };
    condition.value.as_ref().is_none_or(|value| value.matches(pseudo.as_bytes())) != condition.invert
}

/// A query condition, on the first value of the parameter, as sent. `?k` alone has the value "".
fn query_holds(condition: &QueryMatch, query: Option<&str>) -> bool {
    let found = query.unwrap_or_default().split('&').find_map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (name == condition.name && !pair.is_empty()).then_some(value)
    });
    match (&condition.value, found) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(value), Some(text)) => StringMatch::matches(value, text.as_bytes()),
    }
}

/// The name of a header condition, as its author wrote it.
pub fn field_name(field: &HeaderField) -> &str {
    match field {
        HeaderField::Name(name) => name.as_str(),
        HeaderField::Method => ":method",
        HeaderField::Authority => ":authority",
        HeaderField::Scheme => ":scheme",
        HeaderField::Path => ":path",
    }
}
