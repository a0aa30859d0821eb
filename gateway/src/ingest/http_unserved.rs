//! The parts of an `http[]` rule that are checked and not served yet.

use super::{
    IngestContext, destination, duration,
    findings::{Findings, Path},
    regex_syntax,
};
use crate::istio::{common::Percent, http_route as istio};

/// Reports faults, mirrors and CORS: that they are not served, and what the webhook has against them.
pub(super) fn check(
    route: &istio::HttpRoute,
    namespace: &str,
    context: &IngestContext,
    path: &Path<'_>,
    findings: &mut Findings<'_>,
) {
    if let Some(fault) = &route.fault {
        let path = path.field("fault");
        findings.not_served(&path, "requests of the rule are neither delayed nor aborted");
        check_fault(fault, &path, findings);
    }
    check_mirrors(route, namespace, context, path, findings);
    if let Some(cors) = &route.cors_policy {
        let path = path.field("corsPolicy");
        findings.not_served(&path, "preflight requests go to the destination, and no CORS headers are added");
        check_cors(cors, &path, findings);
    }
}

/// `validateHTTPFaultInjection` in validation.go.
fn check_fault(fault: &istio::HttpFaultInjection, path: &Path<'_>, findings: &mut Findings<'_>) {
    if fault.delay.is_none() && fault.abort.is_none() {
        findings.invalid(path, "has neither delay nor abort: give one");
    }
    if let Some(abort) = &fault.abort {
        let path = path.field("abort");
        check_share(abort.percentage.as_ref(), &path.field("percentage"), findings);
        let kinds = [abort.http_status.is_some(), abort.grpc_status.is_some(), abort.http2_error.is_some()];
        if kinds.iter().filter(|given| **given).count() > 1 {
            findings.schema(&path, "has more than one of httpStatus, grpcStatus and http2Error: keep one");
        }
        match (abort.http_status, &abort.grpc_status, &abort.http2_error) {
            (_, _, Some(_)) => findings.invalid(&path.field("http2Error"), "is not supported by Istio: use httpStatus"),
            (Some(status), ..) if !(200..600).contains(&status) => {
                findings.invalid(&path.field("httpStatus"), format!("{status} is no status from 200 to 599"));
            }
            (_, Some(status), _) if !is_grpc_status(status) => {
                findings.invalid(
                    &path.field("grpcStatus"),
                    format!("{status:?} is no gRPC status such as \"UNAVAILABLE\""),
                );
            }
            (None, None, None) => findings.suspicious(&path, "says no status: nothing is aborted"),
            _ => {}
        }
    }
    if let Some(delay) = &fault.delay {
        let path = path.field("delay");
        check_share(delay.percentage.as_ref(), &path.field("percentage"), findings);
        duration::check(delay.fixed_delay.as_deref(), &path.field("fixedDelay"), findings);
        if delay.exponential_delay.is_some() {
            findings.invalid(&path.field("exponentialDelay"), "is not supported by Istio: use fixedDelay");
        }
        if delay.fixed_delay.is_some() && delay.exponential_delay.is_some() {
            findings.schema(&path, "has both fixedDelay and exponentialDelay: keep one");
        }
    }
}

/// `validatePercentage` in validation.go.
fn check_share(percentage: Option<&Percent>, path: &Path<'_>, findings: &mut Findings<'_>) {
    let Some(Percent { value }) = percentage else { return };
    if *value != 0.0 && !(0.0001..=100.0).contains(value) {
        findings.invalid(&path.field("value"), format!("{value} is neither 0 nor from 0.0001 to 100"));
    }
}

fn is_grpc_status(status: &str) -> bool {
    const STATUSES: [&str; 17] = [
        "OK",
        "CANCELLED",
        "UNKNOWN",
        "INVALID_ARGUMENT",
        "DEADLINE_EXCEEDED",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED",
        "FAILED_PRECONDITION",
        "ABORTED",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "INTERNAL",
        "UNAVAILABLE",
        "DATA_LOSS",
        "UNAUTHENTICATED",
    ];
    STATUSES.contains(&status)
}

/// `validateHTTPMirrors` and the beginning of `validateHTTPRoute` in istio's validation.
fn check_mirrors(
    route: &istio::HttpRoute,
    namespace: &str,
    context: &IngestContext,
    path: &Path<'_>,
    findings: &mut Findings<'_>,
) {
    const INSTEAD: &str = "requests of the rule are not copied";
    if let Some(mirror) = &route.mirror {
        findings.not_served(&path.field("mirror"), INSTEAD);
        destination::read(mirror, namespace, context, &path.field("mirror"), findings);
    }
    if let Some(percent) = route.mirror_percent {
        let path = path.field("mirrorPercent");
        findings.suspicious(&path, "is deprecated: use mirrorPercentage");
        if percent > 100 {
            findings.invalid(&path, format!("{percent} is more than 100"));
        }
    }
    check_percent(route.mirror_percentage.as_ref(), &path.field("mirrorPercentage"), findings);
    let mirrors = path.field("mirrors");
    if !route.mirrors.is_empty() {
        findings.not_served(&mirrors, INSTEAD);
    }
    for (index, mirror) in route.mirrors.iter().enumerate() {
        let path = mirrors.index(index);
        match &mirror.destination {
            Some(target) => {
                destination::read(target, namespace, context, &path.field("destination"), findings);
            }
            None => findings.schema(&path.field("destination"), "is required"),
        }
        check_percent(mirror.percentage.as_ref(), &path.field("percentage"), findings);
    }
}

fn check_percent(percentage: Option<&Percent>, path: &Path<'_>, findings: &mut Findings<'_>) {
    let Some(Percent { value }) = percentage else { return };
    if !(0.0..=100.0).contains(value) {
        findings.invalid(&path.field("value"), format!("{value} is not from 0 to 100"));
    }
}

/// `validateCORSPolicy` in validation.go.
fn check_cors(cors: &istio::CorsPolicy, path: &Path<'_>, findings: &mut Findings<'_>) {
    const METHODS: [&str; 10] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE", "*"];
    let origins = path.field("allowOrigins");
    for (index, origin) in cors.allow_origins.iter().enumerate() {
        let path = origins.index(index);
        let given = [&origin.exact, &origin.prefix, &origin.regex];
        let given: Vec<&String> = given.into_iter().flatten().collect();
        match given.as_slice() {
            [] => findings.invalid(&path, "is empty: give exact, prefix or regex"),
            [text] if text.is_empty() => findings.invalid(&path, "is empty: give a value"),
            [_] => {}
            _ => findings.schema(&path, "has more than one of exact, prefix and regex: keep one"),
        }
        if let Some(Err(reason)) = origin.regex.as_deref().filter(|r| !r.is_empty()).map(regex_syntax::compile_full) {
            findings.invalid(&path.field("regex"), reason);
        }
    }
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
    let max_age = path.field("maxAge");
    if let Some(nanoseconds) = duration::check(cors.max_age.as_deref(), &max_age, findings)
        && nanoseconds % 1_000_000_000 != 0
    {
        findings.invalid(&max_age, "has a fraction of a second: give whole seconds");
    }
}
