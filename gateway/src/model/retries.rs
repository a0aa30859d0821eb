//! When a request is sent again.

use http::HeaderName;
use std::{sync::Arc, time::Duration};

/// Envoy's `upstream.base_retry_backoff_ms`.
pub const DEFAULT_BACK_OFF: Duration = Duration::from_millis(25);

/// `retries` of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retries {
    /// How often a request is sent again at most; 0 turns retries off.
    pub attempts: u32,
    pub on: RetryOn,
    /// The statuses behind [`RetryOn::STATUSES`].
    pub statuses: Vec<u16>,
    /// The fields of an answer behind [`RetryOn::ANSWER_FIELDS`], which no rule has by itself.
    pub fields: Vec<HeaderName>,
    /// How long one attempt may take, from the moment its connection stands.
    pub per_try_timeout: Option<Duration>,
    /// The longest wait before the first retry; it doubles with every further one, up to ten times this.
    pub back_off: Duration,
    /// An endpoint that has failed the request is not drawn again if another is found. `None` where the rule does not say: then
    /// it depends on whether the request is hashed.
    pub ignore_previous_hosts: Option<bool>,
    /// After two attempts, the localities of the endpoints that were tried are left out, as long as others are left.
    pub remote_localities: bool,
    /// `on` in Envoy's words, as Istio hands them over.
    pub text: Arc<str>,
}

/// A set of conditions under which a request is sent again (`RetryPolicy` in envoy/router/router.h).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RetryOn(u16);

impl RetryOn {
    pub const NOTHING: Self = Self(0);
    pub const SERVER_ERRORS: Self = Self(1);
    pub const GATEWAY_ERRORS: Self = Self(1 << 1);
    pub const RESET: Self = Self(1 << 2);
    pub const RESET_BEFORE_REQUEST: Self = Self(1 << 3);
    pub const CONNECT_FAILURE: Self = Self(1 << 4);
    pub const CONFLICT: Self = Self(1 << 5);
    pub const REFUSED_STREAM: Self = Self(1 << 6);
    pub const STATUSES: Self = Self(1 << 7);
    pub const RATE_LIMITED: Self = Self(1 << 8);
    pub const GRPC_CANCELLED: Self = Self(1 << 9);
    pub const GRPC_DEADLINE_EXCEEDED: Self = Self(1 << 10);
    pub const GRPC_INTERNAL: Self = Self(1 << 11);
    pub const GRPC_RESOURCE_EXHAUSTED: Self = Self(1 << 12);
    pub const GRPC_UNAVAILABLE: Self = Self(1 << 13);
    pub const ANSWER_FIELDS: Self = Self(1 << 14);

    /// Those of gRPC.
    pub const GRPC: Self = Self::GRPC_CANCELLED
        .and(Self::GRPC_DEADLINE_EXCEEDED)
        .and(Self::GRPC_INTERNAL)
        .and(Self::GRPC_RESOURCE_EXHAUSTED)
        .and(Self::GRPC_UNAVAILABLE);
    /// All others.
    pub const HTTP: Self = Self(!Self::GRPC.0);

    /// The condition that Envoy calls `name`. One means nothing here: HTTP/3's. `None` for a word that is no condition.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "5xx" => Self::SERVER_ERRORS,
            "gateway-error" => Self::GATEWAY_ERRORS,
            "reset" => Self::RESET,
            "reset-before-request" => Self::RESET_BEFORE_REQUEST,
            "connect-failure" => Self::CONNECT_FAILURE,
            "retriable-4xx" => Self::CONFLICT,
            "refused-stream" => Self::REFUSED_STREAM,
            "retriable-status-codes" => Self::STATUSES,
            "envoy-ratelimited" => Self::RATE_LIMITED,
            "cancelled" => Self::GRPC_CANCELLED,
            "deadline-exceeded" => Self::GRPC_DEADLINE_EXCEEDED,
            "internal" => Self::GRPC_INTERNAL,
            "resource-exhausted" => Self::GRPC_RESOURCE_EXHAUSTED,
            "unavailable" => Self::GRPC_UNAVAILABLE,
            "retriable-headers" => Self::ANSWER_FIELDS,
            "http3-post-connect-failure" => Self::NOTHING,
            _ => return None,
        })
    }

    /// Whether some condition of `other` is in the set.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// What is in `other` too.
    #[must_use]
    pub const fn only(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Both sets.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl Default for Retries {
    /// What Istio does where a rule says nothing (`cachedDefaultPolicy` in
    /// istio/pilot/pkg/networking/core/route/retry/retry.go).
    fn default() -> Self {
        let on = RetryOn::CONNECT_FAILURE
            .and(RetryOn::REFUSED_STREAM)
            .and(RetryOn::GRPC_UNAVAILABLE)
            .and(RetryOn::GRPC_CANCELLED)
            .and(RetryOn::STATUSES);
        Self {
            attempts: 2,
            on,
            statuses: Vec::new(),
            fields: Vec::new(),
            per_try_timeout: None,
            back_off: DEFAULT_BACK_OFF,
            ignore_previous_hosts: None,
            remote_localities: false,
            text: "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes".into(),
        }
    }
}
