//! `retries` of an `http[]` rule.

use super::{
    duration,
    findings::{Findings, Path},
};
use crate::{
    istio::http_route as istio,
    model::retries::{DEFAULT_BACK_OFF, Retries, RetryOn},
};
use http::StatusCode;

/// Reads `retries` (`validateHTTPRetry` in istio/pkg/config/validation/validation.go, `ConvertPolicy` in
/// istio/pilot/pkg/networking/core/route/retry/retry.go). A condition that is none is reported and left out.
pub(super) fn read(retries: &istio::HttpRetry, path: &Path<'_>, findings: &mut Findings<'_>) -> Retries {
    if retries.attempts < 0 {
        findings.invalid(&path.field("attempts"), "is negative");
    }
    let configured =
        retries.per_try_timeout.is_some() || !retries.retry_on.is_empty() || retries.retry_remote_localities.is_some();
    if retries.attempts == 0 && configured {
        findings.invalid(&path.field("attempts"), "is 0, which turns retries off, beside fields that configure them");
    }
    let per_try_timeout = duration::read(retries.per_try_timeout.as_deref(), &path.field("perTryTimeout"), findings);
    let back_off = duration::read(retries.backoff.as_deref(), &path.field("backoff"), findings);
    let conditions = conditions(&retries.retry_on, &path.field("retryOn"), findings);
    let attempts = u32::try_from(retries.attempts).unwrap_or(0);
    if attempts == 0 {
        // Istio gives Envoy no policy at all then, and the time of one try is not limited either.
        let (on, text) = (RetryOn::NOTHING, "".into());
        return Retries { attempts, on, text, per_try_timeout: None, ..Retries::default() };
    }
    let retries = Retries {
        attempts,
        per_try_timeout,
        back_off: back_off.unwrap_or(DEFAULT_BACK_OFF),
        ignore_previous_hosts: retries.retry_ignore_previous_hosts,
        remote_localities: retries.retry_remote_localities.unwrap_or(false),
        ..Retries::default()
    };
    match conditions {
        Some(Conditions { on, statuses, text }) => Retries { on, statuses, text: text.into(), ..retries },
        None => retries,
    }
}

/// A list of conditions, read.
struct Conditions {
    on: RetryOn,
    statuses: Vec<u16>,
    /// In Envoy's words: statuses are a list of their own there.
    text: String,
}

/// `None` for an empty list, which stands for Istio's own (`parseRetryOn` in retry.go).
fn conditions(list: &str, path: &Path<'_>, findings: &mut Findings<'_>) -> Option<Conditions> {
    const STATUSES: &str = "retriable-status-codes";
    if list.is_empty() {
        return None;
    }
    let (mut on, mut statuses, mut words) = (RetryOn::NOTHING, Vec::new(), Vec::new());
    for written in list.split(',') {
        let condition = written.trim();
        match (RetryOn::named(condition), status(condition)) {
            (_, Some(status)) => statuses.push(status),
            (Some(named), _) => {
                on = on.and(named);
                words.push(condition);
            }
            (None, None) if condition.is_empty() => {}
            (None, None) => words.push(condition),
        }
        // The webhook takes no spaces; Envoy passes them over.
        if RetryOn::named(written).is_none() && status(written).is_none() {
            findings.invalid(path, format!("{written:?} is no condition of Envoy's and no HTTP status"));
        }
    }
    let mut text = words.join(",");
    if !statuses.is_empty() {
        on = on.and(RetryOn::STATUSES);
        if !text.contains(STATUSES) {
            text = format!("{text},{STATUSES}");
        }
    }
    Some(Conditions { on, statuses, text })
}

/// A status that Go's net/http has a name for.
fn status(text: &str) -> Option<u16> {
    let status: u16 = text.parse().ok()?;
    StatusCode::from_u16(status).ok().filter(|status| status.canonical_reason().is_some()).map(|_| status)
}
