//! `fault` of an `http[]` rule.

use super::{
    duration,
    findings::{Findings, Path},
};
use crate::{
    istio::{common::Percent, http_route as istio},
    model::{
        fault::{Abort, AbortStatus, Delay, Fault},
        share::Share,
    },
};
use http::StatusCode;

/// Statuses of gRPC by number (`SupportedGRPCStatus` in istio/pkg/grpc).
const GRPC_STATUSES: [&str; 17] = [
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

/// Reads `fault` (`validateHTTPFaultInjection` in validation.go, `TranslateFault` in istio's route.go). What is refused is
/// reported and never happens; `None` when nothing is left.
pub(super) fn read(fault: &istio::HttpFaultInjection, path: &Path<'_>, findings: &mut Findings<'_>) -> Option<Fault> {
    if fault.delay.is_none() && fault.abort.is_none() {
        findings.invalid(path, "has neither delay nor abort: give one");
    }
    let abort = fault.abort.as_ref().and_then(|abort| self::abort(abort, &path.field("abort"), findings));
    let delay = fault.delay.as_ref().and_then(|delay| self::delay(delay, &path.field("delay"), findings));
    (abort.is_some() || delay.is_some()).then_some(Fault { delay, abort })
}

fn abort(abort: &istio::Abort, path: &Path<'_>, findings: &mut Findings<'_>) -> Option<Abort> {
    let share = share(abort.percentage.as_ref(), &path.field("percentage"), findings);
    let kinds = [abort.http_status.is_some(), abort.grpc_status.is_some(), abort.http2_error.is_some()];
    if kinds.iter().filter(|given| **given).count() > 1 {
        findings.schema(path, "has more than one of httpStatus, grpcStatus and http2Error: keep one");
    }
    let status = match (abort.http_status, &abort.grpc_status, &abort.http2_error) {
        (_, _, Some(_)) => {
            findings.invalid(&path.field("http2Error"), "is not supported by Istio: use httpStatus");
            None
        }
        (Some(status), ..) => {
            // The webhook lets 600 through, and Envoy then refuses every route of the gateway.
            let code = u16::try_from(status).ok().filter(|code| (200..600).contains(code));
            if code.is_none() {
                let message = format!("{status} is no status from 200 to 599: nothing is aborted");
                findings.invalid(&path.field("httpStatus"), message);
            }
            code.and_then(|code| StatusCode::from_u16(code).ok()).map(AbortStatus::Http)
        }
        (None, Some(name), _) => {
            let number = GRPC_STATUSES.iter().position(|known| known == name);
            if number.is_none() {
                let message = format!("{name:?} is no gRPC status such as \"UNAVAILABLE\"");
                findings.invalid(&path.field("grpcStatus"), message);
            }
            number.and_then(|number| u8::try_from(number).ok()).map(AbortStatus::Grpc)
        }
        (None, None, None) => {
            findings.suspicious(path, "says no status: nothing is aborted");
            None
        }
    };
    // Without a percentage it is none, as in Istio.
    Some(Abort { share: share?, status: status? })
}

fn delay(delay: &istio::Delay, path: &Path<'_>, findings: &mut Findings<'_>) -> Option<Delay> {
    let share = share(delay.percentage.as_ref(), &path.field("percentage"), findings);
    let time = duration::read(delay.fixed_delay.as_deref(), &path.field("fixedDelay"), findings);
    if delay.exponential_delay.is_some() {
        findings.invalid(&path.field("exponentialDelay"), "is not supported by Istio: use fixedDelay");
    }
    if delay.fixed_delay.is_some() && delay.exponential_delay.is_some() {
        findings.schema(path, "has both fixedDelay and exponentialDelay: keep one");
    }
    let deprecated = (delay.percentage.is_none() && delay.percent > 0).then(|| Share::of_percent(delay.percent.into()));
    Some(Delay { share: share.or(deprecated)?, time: time? })
}

/// Reads a percentage (`validatePercentage` in validation.go); `None` when it is not given, or none.
fn share(percentage: Option<&Percent>, path: &Path<'_>, findings: &mut Findings<'_>) -> Option<Share> {
    let Percent { value } = percentage?;
    if *value != 0.0 && !(0.0001..=100.0).contains(value) {
        findings.invalid(&path.field("value"), format!("{value} is neither 0 nor from 0.0001 to 100"));
    }
    Some(Share::of_percent(*value)).filter(|share| *share != Share::NONE)
}
