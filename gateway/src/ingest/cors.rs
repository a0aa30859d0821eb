//! `corsPolicy` of an `http[]` rule.

use super::{
    duration,
    findings::{Findings, Path},
    string_match::{self, Condition},
};
use crate::{
    istio::http_route as istio,
    model::{
        cors::{Cors, Listed},
        string_match::StringMatch,
    },
};
use http::HeaderValue;

const METHODS: [&str; 10] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE", "*"];

/// Reads `corsPolicy` (`validateCORSPolicy` in validation.go, `TranslateCORSPolicy` in istio's route.go). An origin that is
/// refused is reported and left out.
pub(super) fn read(cors: &istio::CorsPolicy, path: &Path<'_>, findings: &mut Findings<'_>) -> Cors {
    let methods = path.field("allowMethods");
    for (index, method) in cors.allow_methods.iter().enumerate().filter(|(_, m)| !METHODS.contains(&m.as_str())) {
        findings.invalid(&methods.index(index), format!("{method:?} is no HTTP method"));
    }
    for (field, names) in [("allowHeaders", &cors.allow_headers), ("exposeHeaders", &cors.expose_headers)] {
        let path = path.field(field);
        for (index, name) in names.iter().enumerate() {
            if name != "*" && http::HeaderName::from_bytes(name.as_bytes()).is_err() {
                findings.invalid(&path.index(index), format!("{name:?} is no header name"));
            }
        }
    }
    let origins = origins(cors, path, findings);
    let max_age_path = path.field("maxAge");
    let max_age = duration::read(cors.max_age.as_deref(), &max_age_path, findings);
    if max_age.is_some_and(|age| age.subsec_millis() != 0) {
        findings.invalid(&max_age_path, "has a fraction of a second: give whole seconds");
    }
    Cors {
        origins,
        methods: listed(&cors.allow_methods),
        headers: listed(&cors.allow_headers),
        expose: joined(&cors.expose_headers),
        max_age: max_age.map(|age| age.as_secs()),
        credentials: cors.allow_credentials.unwrap_or(false),
        answers_others: cors.unmatched_preflights == istio::UnmatchedPreflights::Ignore,
    }
}

fn origins(cors: &istio::CorsPolicy, path: &Path<'_>, findings: &mut Findings<'_>) -> Vec<StringMatch> {
    if cors.allow_origins.is_empty() {
        // Deprecated: exact names.
        return cors.allow_origin.iter().cloned().map(StringMatch::Exact).collect();
    }
    let path = path.field("allowOrigins");
    let mut origins = Vec::with_capacity(cors.allow_origins.len());
    for (index, origin) in cors.allow_origins.iter().enumerate() {
        let path = path.index(index);
        let given = [&origin.exact, &origin.prefix, &origin.regex];
        let given: Vec<&String> = given.into_iter().flatten().collect();
        match given.as_slice() {
            [] => findings.invalid(&path, "is empty: give exact, prefix or regex"),
            [text] if text.is_empty() => findings.invalid(&path, "is empty: give a value"),
            _ => {
                if let Condition::On(condition) = string_match::read_uri(origin, &path, findings) {
                    origins.push(condition);
                }
            }
        }
    }
    origins
}

/// A list with commas; `*` alone is anything.
fn listed(names: &[String]) -> Listed {
    match joined(names) {
        None => Listed::Nothing,
        Some(value) if value == "*" => Listed::Anything,
        Some(value) => Listed::These(value),
    }
}

/// `None` for an empty list, and for what no field can hold, which has been reported as no name.
fn joined(names: &[String]) -> Option<HeaderValue> {
    HeaderValue::try_from(names.join(",")).ok().filter(|value| !value.is_empty())
}
