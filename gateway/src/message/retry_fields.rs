//! Fields of a request by which Envoy's router lets its sender say when to try again. Clients are not asked at the edge; a
//! rule's own header operations are, since they act before the router looks (`Filter::continueDecodeHeaders` in
//! source/common/router/router.cc).

use crate::{
    model::retries::{DEFAULT_BACK_OFF, Retries, RetryOn},
    routing::route::HeaderEdits,
};
use http::{HeaderMap, HeaderName, HeaderValue};

const RETRY_ON: HeaderName = HeaderName::from_static("x-envoy-retry-on");
const RETRY_GRPC_ON: HeaderName = HeaderName::from_static("x-envoy-retry-grpc-on");
const MAX_RETRIES: HeaderName = HeaderName::from_static("x-envoy-max-retries");
const STATUS_CODES: HeaderName = HeaderName::from_static("x-envoy-retriable-status-codes");
const FIELD_NAMES: HeaderName = HeaderName::from_static("x-envoy-retriable-header-names");

/// All that the router keeps to itself (`RetryStateImpl::create`), whether it looks at it or not.
const KEPT: [HeaderName; 7] = [
    RETRY_ON,
    RETRY_GRPC_ON,
    MAX_RETRIES,
    STATUS_CODES,
    FIELD_NAMES,
    HeaderName::from_static("x-envoy-hedge-on-per-try-timeout"),
    HeaderName::from_static("x-envoy-upstream-rq-per-try-timeout-ms"),
];

/// Envoy's `num_retries` of a route without a policy.
const UNCONFIGURED_ATTEMPTS: u32 = 1;

/// Whether `edits` put one of the fields, so that [`take`] is worth a look.
pub fn puts_some(edits: &HeaderEdits) -> bool {
    edits.put.iter().any(|put| put.name.as_str().starts_with("x-envoy-") && KEPT.contains(&put.name))
}

/// Takes the fields out of `headers`. Returns what becomes of `policy` by them; `None` when it stays as it is.
pub fn take(headers: &mut HeaderMap, policy: &Retries) -> Option<Retries> {
    let merged = merged(headers, policy);
    for name in &KEPT {
        headers.remove(name);
    }
    merged
}

/// `RetryStateImpl::RetryStateImpl` in source/common/router/retry_state_impl.cc.
fn merged(headers: &HeaderMap, policy: &Retries) -> Option<Retries> {
    let conditions = |name, of: RetryOn| {
        let words = text(headers, name)?.split(',').map(str::trim);
        let named = words.filter_map(RetryOn::named).fold(RetryOn::NOTHING, RetryOn::and);
        Some(named.only(of))
    };
    let (on, on_grpc) = (conditions(&RETRY_ON, RetryOn::HTTP), conditions(&RETRY_GRPC_ON, RetryOn::GRPC));
    if policy.attempts == 0 && on.is_none() && on_grpc.is_none() {
        return None;
    }
    let mut merged = if policy.attempts == 0 { unconfigured() } else { policy.clone() };
    merged.on = merged.on.and(on.unwrap_or_default()).and(on_grpc.unwrap_or_default());
    if merged.on != RetryOn::NOTHING
        && let Some(count) = text(headers, &MAX_RETRIES).and_then(number)
    {
        // A 32-bit number in Envoy, which keeps the lower half.
        merged.attempts = u32::try_from(count & u64::from(u32::MAX)).unwrap_or(u32::MAX);
    }
    let codes = text(headers, &STATUS_CODES).into_iter().flat_map(|codes| codes.split(','));
    merged.statuses.extend(codes.filter_map(number).filter_map(|code| u16::try_from(code).ok()));
    let names = text(headers, &FIELD_NAMES).into_iter().flat_map(|names| names.split(','));
    merged.fields.extend(names.filter_map(|name| HeaderName::try_from(name).ok()));
    (merged != *policy).then_some(merged)
}

/// Istio gives Envoy no policy where `attempts` is 0.
fn unconfigured() -> Retries {
    Retries {
        attempts: UNCONFIGURED_ATTEMPTS,
        on: RetryOn::NOTHING,
        back_off: DEFAULT_BACK_OFF,
        ignore_previous_hosts: Some(false),
        text: "".into(),
        ..Retries::default()
    }
}

/// The first value: of fields that Envoy knows by name it keeps one.
fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name).map(HeaderValue::to_str)?.ok()
}

/// `absl::SimpleAtoi`: spaces around and a sign are taken.
fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::retry_policy::repeats_response;
    use http::StatusCode;

    fn fields(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        fields.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    fn taken(said: &[(&'static str, &'static str)], policy: &Retries) -> Option<Retries> {
        let mut headers = fields(said);
        let merged = take(&mut headers, policy);
        assert!(headers.is_empty(), "{headers:?} would be sent to the pod");
        merged
    }

    #[test]
    fn a_rule_s_fields_add_to_its_policy() {
        let policy = Retries::default();
        let merged = taken(&[("x-envoy-retry-on", "5xx, internal,nonsense"), ("x-envoy-max-retries", " 5 ")], &policy);
        let merged = merged.expect("a policy");
        assert!(merged.on.has(RetryOn::SERVER_ERRORS) && merged.on.has(RetryOn::CONNECT_FAILURE));
        assert!(!merged.on.has(RetryOn::GRPC_INTERNAL), "a word of the other field");
        assert_eq!(merged.attempts, 5);
        let merged = taken(&[("x-envoy-retry-grpc-on", "internal,5xx")], &policy).expect("a policy");
        assert!(merged.on.has(RetryOn::GRPC_INTERNAL) && !merged.on.has(RetryOn::SERVER_ERRORS));
        assert_eq!(merged.attempts, 2);
    }

    #[test]
    fn statuses_and_answer_fields_are_further_ones() {
        let policy = Retries { statuses: vec![500], ..Retries::default() };
        let merged = taken(&[("x-envoy-retriable-status-codes", "418,x, 419")], &policy).expect("a policy");
        assert_eq!(merged.statuses, [500, 418, 419]);
        let said = [("x-envoy-retry-on", "retriable-headers"), ("x-envoy-retriable-header-names", "x-again")];
        let merged = taken(&said, &policy).expect("a policy");
        assert!(repeats_response(&merged, StatusCode::OK, &fields(&[("x-again", "no")])));
        assert!(!repeats_response(&merged, StatusCode::OK, &fields(&[("x-other", "yes")])));
        let unnamed = taken(&said[1..], &policy).expect("a policy");
        assert!(!repeats_response(&unnamed, StatusCode::OK, &fields(&[("x-again", "no")])));
    }

    #[test]
    fn where_retries_are_off_a_condition_turns_one_on() {
        let off = Retries { attempts: 0, on: RetryOn::NOTHING, ..Retries::default() };
        assert_eq!(taken(&[("x-envoy-max-retries", "3"), ("x-envoy-retriable-status-codes", "500")], &off), None);
        let merged = taken(&[("x-envoy-retry-on", "5xx")], &off).expect("a policy");
        assert_eq!((merged.attempts, merged.on), (1, RetryOn::SERVER_ERRORS));
        let odd = taken(&[("x-envoy-retry-on", "nonsense"), ("x-envoy-max-retries", "3")], &off).expect("a policy");
        assert_eq!((odd.attempts, odd.on), (1, RetryOn::NOTHING));
    }

    #[test]
    fn what_is_no_number_counts_for_nothing_and_what_is_kept_is_not_sent() {
        let policy = Retries::default();
        for count in ["", "-1", "many", "1.5", "99999999999999999999"] {
            assert_eq!(taken(&[("x-envoy-max-retries", count)], &policy), None, "{count:?}");
        }
        let kept = [("x-envoy-hedge-on-per-try-timeout", "true"), ("x-envoy-upstream-rq-per-try-timeout-ms", "1")];
        assert_eq!(taken(&kept, &policy), None);
    }
}
