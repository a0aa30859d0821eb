//! How long a request may take, and how the next one in line is told (`FilterUtility::finalTimeout` and
//! `setTimeoutHeaders` in envoy's source/common/router/router.cc).

use http::{HeaderMap, HeaderName, HeaderValue};
use std::time::Duration;

pub const X_ENVOY_EXPECTED_RQ_TIMEOUT_MS: HeaderName = HeaderName::from_static("x-envoy-expected-rq-timeout-ms");
const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// The largest number in `grpc-timeout`: eight digits.
const MOST: u64 = 99_999_999;

/// The limits of one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeLimits {
    /// From the end of the request to the end of its answer, over all attempts.
    pub total: Option<Duration>,
    /// Of one attempt, until its response head.
    pub per_try: Option<Duration>,
}

impl TimeLimits {
    /// The limits of a rule with `timeout` and `perTryTimeout` for a request with `headers`. A gRPC client may ask for
    /// less by `grpc-timeout`, or for something where the rule has no limit: Istio sets `max_grpc_timeout` to the rule's.
    pub fn of(timeout: Option<Duration>, per_try: Option<Duration>, headers: &HeaderMap, is_grpc: bool) -> Self {
        let mut total = timeout;
        if is_grpc && let Some(asked) = grpc_timeout(headers) {
            total = Some(timeout.map_or(asked, |timeout| timeout.min(asked)));
        }
        let per_try = per_try.filter(|per_try| total.is_none_or(|total| *per_try < total));
        Self { total, per_try }
    }

    pub fn is_none(&self) -> bool {
        self.total.is_none() && self.per_try.is_none()
    }

    /// Tells the endpoint in `headers` how long the gateway will wait for it, `elapsed` after the request was complete.
    pub fn announce(&self, headers: &mut HeaderMap, elapsed: Duration, is_grpc: bool) {
        let left = self.total.map(|total| total.saturating_sub(elapsed).max(Duration::from_millis(1)));
        let expected = match (self.per_try, left) {
            (Some(per_try), Some(left)) => per_try.min(left),
            (Some(only), None) | (None, Some(only)) => only,
            (None, None) => return,
        };
        let milliseconds = u64::try_from(expected.as_millis()).unwrap_or(u64::MAX);
        headers.insert(X_ENVOY_EXPECTED_RQ_TIMEOUT_MS, HeaderValue::from(milliseconds));
        if is_grpc && let Ok(value) = HeaderValue::try_from(as_grpc(milliseconds)) {
            headers.insert(GRPC_TIMEOUT, value);
        }
    }
}

/// `grpc-timeout` of a request; `None` when there is none that says something. Finer units are rounded up to
/// milliseconds, and 0 is no limit, as for Envoy (`Common::getGrpcTimeout` in source/common/grpc/common.cc).
fn grpc_timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(GRPC_TIMEOUT)?.to_str().ok()?;
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let number: u64 = number.parse().ok().filter(|number| *number <= MOST)?;
    let milliseconds = match unit {
        "H" => number * 3_600_000,
        "M" => number * 60_000,
        "S" => number * 1000,
        "m" => number,
        "u" => number.div_ceil(1000),
        "n" => number.div_ceil(1_000_000),
        _ => return None,
    };
    (milliseconds > 0).then_some(Duration::from_millis(milliseconds))
}

/// `Common::toGrpcTimeout`.
fn as_grpc(milliseconds: u64) -> String {
    let (mut time, mut unit) = (milliseconds, 'm');
    for (divisor, next) in [(1000, 'S'), (60, 'M'), (60, 'H')] {
        if time <= MOST {
            break;
        }
        (time, unit) = (time / divisor, next);
    }
    format!("{}{unit}", time.min(MOST))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    fn asking(grpc_timeout: &'static str) -> HeaderMap {
        [(GRPC_TIMEOUT, HeaderValue::from_static(grpc_timeout))].into_iter().collect()
    }

    #[test]
    fn grpc_clients_may_ask_for_less() {
        let of = |timeout, asked| TimeLimits::of(timeout, None, &asking(asked), true).total;
        assert_eq!(of(None, "100m"), Some(ms(100)));
        assert_eq!(of(Some(ms(50)), "100m"), Some(ms(50)));
        assert_eq!(of(Some(ms(500)), "100m"), Some(ms(100)));
        assert_eq!(of(None, "2S"), Some(ms(2000)));
        assert_eq!(of(None, "1H"), Some(ms(3_600_000)));
        assert_eq!(of(None, "1500u"), Some(ms(2)));
        assert_eq!(of(None, "1n"), Some(ms(1)));
        for nothing in ["", "m", "0m", "-1m", "1", "1x", "100000000m", "1.5S", "1é"] {
            let headers: HeaderMap =
                HeaderValue::from_bytes(nothing.as_bytes()).into_iter().map(|value| (GRPC_TIMEOUT, value)).collect();
            assert_eq!(TimeLimits::of(None, None, &headers, true).total, None, "{nothing:?}");
        }
        assert_eq!(TimeLimits::of(None, None, &asking("100m"), false).total, None, "only gRPC has the field");
    }

    #[test]
    fn a_try_is_not_limited_to_more_than_the_whole() {
        let of = |total, per_try| TimeLimits::of(Some(ms(total)), Some(ms(per_try)), &HeaderMap::new(), false).per_try;
        assert_eq!(of(100, 99), Some(ms(99)));
        assert_eq!(of(100, 100), None);
        assert_eq!(of(100, 101), None);
    }

    #[test]
    fn the_endpoint_is_told_what_is_left() {
        let told = |total: Option<u64>, per_try: Option<u64>, elapsed| {
            let limits = TimeLimits { total: total.map(ms), per_try: per_try.map(ms) };
            let mut headers = HeaderMap::new();
            limits.announce(&mut headers, ms(elapsed), true);
            let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("none").to_owned();
            (text(X_ENVOY_EXPECTED_RQ_TIMEOUT_MS), text(GRPC_TIMEOUT))
        };
        let both = |text: &str| (text.to_owned(), format!("{text}m"));
        assert_eq!(told(None, None, 0), ("none".to_owned(), "none".to_owned()));
        assert_eq!(told(Some(300), None, 0), both("300"));
        assert_eq!(told(Some(300), None, 250), both("50"));
        assert_eq!(told(Some(300), None, 400), both("1"));
        assert_eq!(told(Some(300), Some(100), 150), both("100"));
        assert_eq!(told(Some(300), Some(100), 250), both("50"));
        assert_eq!(told(None, Some(100), 250), both("100"));
        assert_eq!(told(Some(100_000_000), None, 0), ("100000000".to_owned(), "100000S".to_owned()));
    }
}
