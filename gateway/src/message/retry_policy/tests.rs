//! The decision against a plain reading of Envoy's documentation, over random policies and outcomes.

use super::*;
use http::HeaderValue;
use proptest::{collection::vec, option, prelude::*, sample::select};

const NAMES: [&str; 14] = [
    "5xx",
    "gateway-error",
    "reset",
    "reset-before-request",
    "connect-failure",
    "retriable-4xx",
    "refused-stream",
    "retriable-status-codes",
    "envoy-ratelimited",
    "cancelled",
    "deadline-exceeded",
    "internal",
    "resource-exhausted",
    "unavailable",
];

fn policy(names: &[&str], statuses: Vec<u16>) -> Retries {
    let on = names.iter().filter_map(|name| RetryOn::named(name)).fold(RetryOn::NOTHING, RetryOn::and);
    Retries { attempts: 2, on, statuses, ..Retries::default() }
}

/// Which of the conditions, one by one, hold for a response.
fn conditions_of_response(status: u16, statuses: &[u16], grpc: Option<u32>, limited: bool) -> Vec<&'static str> {
    if limited {
        return vec!["envoy-ratelimited"];
    }
    let mut held = Vec::new();
    if status >= 500 {
        held.push("5xx");
    }
    if status == 502 || status == 503 || status == 504 {
        held.push("gateway-error");
    }
    if status == 409 {
        held.push("retriable-4xx");
    }
    if statuses.contains(&status) {
        held.push("retriable-status-codes");
    }
    held.extend(match grpc {
        Some(1) => Some("cancelled"),
        Some(4) => Some("deadline-exceeded"),
        Some(8) => Some("resource-exhausted"),
        Some(13) => Some("internal"),
        Some(14) => Some("unavailable"),
        _ => None,
    });
    held
}

/// The same for a reset.
fn conditions_of_reset(reset: Reset, is_started: bool) -> Vec<&'static str> {
    let mut held = vec!["5xx", "gateway-error", "reset"];
    if !is_started {
        held.push("reset-before-request");
    }
    if [Reset::ConnectFailed, Reset::ConnectTimedOut, Reset::Unused].contains(&reset) {
        held.push("connect-failure");
    }
    if reset == Reset::Refused {
        held.push("refused-stream");
    }
    held
}

proptest! {
    /// A failing draw is printed by proptest with its inputs, and repeated from its seed.
    #[test]
    fn responses_are_repeated_as_documented(
        names in vec(select(&NAMES), 0..5),
        statuses in vec(prop_oneof![Just(418u16), Just(503), Just(200), 200u16..600], 0..3),
        status in prop_oneof![Just(200u16), Just(409), Just(418), Just(500), Just(503), 200u16..600],
        grpc in option::of(0u32..17),
        limited in prop::bool::weighted(0.1),
    ) {
        let mut headers = HeaderMap::new();
        headers.extend(grpc.map(|status| (http::HeaderName::from_static("grpc-status"), HeaderValue::from(status))));
        if limited {
            headers.insert("x-envoy-ratelimited", HeaderValue::from_static("true"));
        }
        let held = conditions_of_response(status, &statuses, grpc, limited);
        let expected = names.iter().any(|name| held.contains(name));
        let status = StatusCode::from_u16(status).expect("in range");
        prop_assert_eq!(repeats_response(&policy(&names, statuses), status, &headers), expected);
    }

    #[test]
    fn resets_are_repeated_as_documented(
        names in vec(select(&NAMES), 0..5),
        reset in select(&[
            Reset::ConnectFailed,
            Reset::ConnectTimedOut,
            Reset::Unused,
            Reset::Terminated,
            Reset::Remote,
            Reset::Refused,
            Reset::Protocol,
            Reset::TryTimedOut,
        ][..]),
        is_started: bool,
    ) {
        let held = conditions_of_reset(reset, is_started);
        let expected = names.iter().any(|name| held.contains(name));
        prop_assert_eq!(repeats_reset(&policy(&names, Vec::new()), reset, is_started), expected);
    }

    #[test]
    fn waits_stay_within_their_limits(base in 1u64..10_000, retry in 1u32..100, random: u64) {
        let policy = Retries { back_off: Duration::from_millis(base), ..Retries::default() };
        let wait = back_off(&policy, retry, random);
        prop_assert!(wait < Duration::from_millis(base) * 2u32.saturating_pow(retry - 1).min(10));
    }

    /// What is not kept is never asked for again.
    #[test]
    fn a_body_is_kept_wherever_it_may_be_sent_again(
        names in vec(select(&NAMES), 0..5),
        statuses in vec(200u16..600, 0..2),
        status in 200u16..600,
        is_started: bool,
    ) {
        let policy = policy(&names, statuses);
        let status = StatusCode::from_u16(status).expect("in range");
        let sent_again = repeats_response(&policy, status, &HeaderMap::new())
            || (is_started && repeats_reset(&policy, Reset::Terminated, true));
        let refused_again = is_started && repeats_reset(&policy, Reset::Refused, true);
        prop_assert!(!refused_again || repeats_what_was_sent(&policy, false, true));
        prop_assert!(!sent_again || repeats_what_was_sent(&policy, false, false));
    }
}

#[test]
fn the_default_repeats_what_never_reached_an_endpoint() {
    let default = Retries::default();
    let no_headers = HeaderMap::new();
    assert!(!repeats_response(&default, StatusCode::SERVICE_UNAVAILABLE, &no_headers));
    assert!(repeats_reset(&default, Reset::ConnectFailed, false));
    assert!(!repeats_reset(&default, Reset::Terminated, true));
    assert!(!repeats_reset(&default, Reset::TryTimedOut, true));
    assert!(!repeats_what_was_sent(&default, false, false), "an ordinary upload is not kept");
    assert!(repeats_what_was_sent(&default, true, false));
    assert!(!repeats_what_was_sent(&Retries { attempts: 0, ..policy(&["5xx"], Vec::new()) }, false, true));
}

#[test]
fn the_longest_wait_is_ten_times_the_first() {
    let policy = Retries::default();
    let longest = |retry| (0..2000).map(|random| back_off(&policy, retry, random)).max();
    let ms = |milliseconds| Some(Duration::from_millis(milliseconds));
    assert_eq!([1, 2, 3, 4, 5, 50].map(longest), [ms(24), ms(49), ms(99), ms(199), ms(249), ms(249)]);
}
