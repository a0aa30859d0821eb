//! Which outcome of an attempt is worth another one, and how long to wait before it: Envoy's `RetryStateImpl`
//! (source/common/router/retry_state_impl.cc).

use super::tls_failure::TlsFailure;
use crate::model::retries::{Retries, RetryOn};
use http::{HeaderMap, HeaderName, StatusCode};
use std::time::Duration;

const X_ENVOY_RATELIMITED: HeaderName = HeaderName::from_static("x-envoy-ratelimited");
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// How an attempt ended without a response head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    /// No connection: refused, reset, unreachable.
    ConnectFailed,
    /// No connection within its time.
    ConnectTimedOut,
    /// A connection, but no TLS on it: to Envoy the same as none.
    NoTls(TlsFailure),
    /// A new connection ended before a byte of the request was written: as good as none.
    Unused,
    /// The endpoint closed or reset the connection.
    Terminated,
    /// The endpoint reset the stream of the request, and nothing else.
    Remote,
    /// The same, with the word that it had not looked at the request.
    Refused,
    /// What came was not HTTP.
    Protocol,
    /// The attempt took longer than `perTryTimeout`.
    TryTimedOut,
}

impl Reset {
    /// In Envoy's words (`Utility::resetReasonToString` in source/common/http/utility.cc).
    pub const fn text(self) -> &'static str {
        match self {
            Self::ConnectFailed | Self::NoTls(_) => "remote connection failure",
            Self::ConnectTimedOut => "connection timeout",
            Self::Unused | Self::Terminated => "connection termination",
            Self::Remote => "remote reset",
            Self::Refused => "remote refused stream reset",
            Self::Protocol => "protocol error",
            Self::TryTimedOut => "local reset",
        }
    }
}

/// Whether `policy` repeats a request that was answered with `status` and `headers` (`wouldRetryFromHeaders`).
pub fn repeats_response(policy: &Retries, status: StatusCode, headers: &HeaderMap) -> bool {
    let on = policy.on;
    if headers.contains_key(X_ENVOY_RATELIMITED) {
        return on.has(RetryOn::RATE_LIMITED);
    }
    let code = status.as_u16();
    (on.has(RetryOn::SERVER_ERRORS) && status.is_server_error())
        || (on.has(RetryOn::GATEWAY_ERRORS) && (502..=504).contains(&code))
        || (on.has(RetryOn::CONFLICT) && status == StatusCode::CONFLICT)
        || (on.has(RetryOn::STATUSES) && policy.statuses.contains(&code))
        || headers.get(GRPC_STATUS).is_some_and(|status| repeats_grpc(on, status.as_bytes()))
}

fn repeats_grpc(on: RetryOn, status: &[u8]) -> bool {
    let condition = match status {
        b"1" => RetryOn::GRPC_CANCELLED,
        b"4" => RetryOn::GRPC_DEADLINE_EXCEEDED,
        b"8" => RetryOn::GRPC_RESOURCE_EXHAUSTED,
        b"13" => RetryOn::GRPC_INTERNAL,
        b"14" => RetryOn::GRPC_UNAVAILABLE,
        _ => return false,
    };
    on.has(condition)
}

/// Whether `policy` repeats a request whose attempt ended with `reset`; `is_started` says whether some attempt so far has
/// written anything of it (`wouldRetryFromReset`).
pub fn repeats_reset(policy: &Retries, reset: Reset, is_started: bool) -> bool {
    let on = policy.on;
    let no_connection =
        matches!(reset, Reset::ConnectFailed | Reset::ConnectTimedOut | Reset::NoTls(_) | Reset::Unused);
    on.has(RetryOn::RESET.and(RetryOn::SERVER_ERRORS).and(RetryOn::GATEWAY_ERRORS))
        || (on.has(RetryOn::RESET_BEFORE_REQUEST) && !is_started)
        || (on.has(RetryOn::CONNECT_FAILURE) && no_connection)
        || (on.has(RetryOn::REFUSED_STREAM) && reset == Reset::Refused)
}

/// Whether `policy` may repeat a request of which an endpoint has read something, so that its body has to be kept. A
/// `grpc-status` comes to gRPC requests, and an endpoint that is spoken to in HTTP/2 may refuse what it has been sent.
pub fn repeats_what_was_sent(policy: &Retries, is_grpc: bool, may_refuse: bool) -> bool {
    const ANY: RetryOn = RetryOn::SERVER_ERRORS
        .and(RetryOn::GATEWAY_ERRORS)
        .and(RetryOn::RESET)
        .and(RetryOn::CONFLICT)
        .and(RetryOn::RATE_LIMITED);
    const GRPC: RetryOn = RetryOn::GRPC_CANCELLED
        .and(RetryOn::GRPC_DEADLINE_EXCEEDED)
        .and(RetryOn::GRPC_INTERNAL)
        .and(RetryOn::GRPC_RESOURCE_EXHAUSTED)
        .and(RetryOn::GRPC_UNAVAILABLE);
    let on_status = policy.on.has(RetryOn::STATUSES) && !policy.statuses.is_empty();
    let on_refusal = may_refuse && policy.on.has(RetryOn::REFUSED_STREAM);
    policy.attempts > 0 && (policy.on.has(ANY) || on_status || on_refusal || (is_grpc && policy.on.has(GRPC)))
}

/// The wait before the retry with number `retry`, from 1: fully jittered, the limit doubled each time up to ten times the
/// base (`JitteredExponentialBackOffStrategy` in source/common/common/backoff_strategy.cc). `random` is uniform.
pub fn back_off(policy: &Retries, retry: u32, random: u64) -> Duration {
    let base = u64::try_from(policy.back_off.as_millis()).unwrap_or(u64::MAX).max(1);
    let doubled = base.saturating_mul(1 << retry.saturating_sub(1).min(16));
    let most = doubled.min(base.saturating_mul(10));
    Duration::from_millis(random % most)
}

#[cfg(test)]
mod tests;
