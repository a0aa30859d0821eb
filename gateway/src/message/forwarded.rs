//! `x-forwarded-*`, `x-envoy-*` and `x-request-id` as Istio's gateway sends them.

use http::{HeaderMap, HeaderName, HeaderValue, header::EXPECT};
use smallvec::SmallVec;
use std::net::IpAddr;

pub const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub const X_FORWARDED_CLIENT_CERT: HeaderName = HeaderName::from_static("x-forwarded-client-cert");
pub const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
pub const X_ENVOY_ATTEMPT_COUNT: HeaderName = HeaderName::from_static("x-envoy-attempt-count");
pub const X_ENVOY_DECORATOR_OPERATION: HeaderName = HeaderName::from_static("x-envoy-decorator-operation");
pub const X_ENVOY_EXTERNAL_ADDRESS: HeaderName = HeaderName::from_static("x-envoy-external-address");
pub const X_ENVOY_INTERNAL: HeaderName = HeaderName::from_static("x-envoy-internal");
pub const X_ENVOY_ORIGINAL_HOST: HeaderName = HeaderName::from_static("x-envoy-original-host");
pub const X_ENVOY_ORIGINAL_PATH: HeaderName = HeaderName::from_static("x-envoy-original-path");
pub const X_ENVOY_UPSTREAM_SERVICE_TIME: HeaderName = HeaderName::from_static("x-envoy-upstream-service-time");

/// What Envoy's HTTP server calls itself under Istio.
pub const SERVER_NAME: HeaderValue = HeaderValue::from_static("istio-envoy");

/// Fields by which a client could steer the gateway or pretend to be one. Envoy removes them from requests that come from
/// outside (`cleanInternalHeaders` in source/common/http/conn_manager_utility.cc); since 1.33 every client counts as
/// outside. Others that begin with `x-envoy-` pass.
const REMOVED: [&str; 23] = [
    "x-envoy-decorator-operation",
    "x-envoy-downstream-service-cluster",
    "x-envoy-downstream-service-node",
    "x-envoy-expected-rq-timeout-ms",
    "x-envoy-external-address",
    "x-envoy-force-trace",
    "x-envoy-hedge-on-per-try-timeout",
    "x-envoy-internal",
    "x-envoy-ip-tags",
    "x-envoy-max-retries",
    "x-envoy-original-host",
    "x-envoy-original-path",
    "x-envoy-original-url",
    "x-envoy-retriable-header-names",
    "x-envoy-retriable-status-codes",
    "x-envoy-retry-grpc-on",
    "x-envoy-retry-on",
    "x-envoy-upstream-alt-stat-name",
    "x-envoy-upstream-rq-per-try-timeout-ms",
    "x-envoy-upstream-rq-timeout-alt-response",
    "x-envoy-upstream-rq-timeout-ms",
    "x-envoy-upstream-stream-duration-ms",
    "x-forwarded-client-cert",
];

/// The fields that a request gets here and on its way to an endpoint: the four below, `x-envoy-attempt-count` and
/// `x-envoy-decorator-operation`, and one to spare.
const ADDED: usize = 7;

/// What the gateway knows about a request that the request itself must not claim.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// The address of the client, without the port.
    pub peer: &'a HeaderValue,
    /// `http` or `https`: how the client came to us.
    pub scheme: &'static str,
    /// What the client's certificate says, if it has shown one that is good.
    pub certificate: Option<&'a HeaderValue>,
    /// Fresh for every request.
    pub request_id: &'a HeaderValue,
    /// So many proxies stand before us whose word counts (Istio's `numTrustedProxies`).
    pub trusted_proxies: usize,
}

/// Who has sent a request, by the word of trusted proxies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sender {
    /// `None` for the peer itself.
    pub address: Option<IpAddr>,
    /// `http` or `https`: how the client came to the first of them.
    pub scheme: &'static str,
}

/// Makes the head of a request that arrived say what Istio's gateway would make it say *before* routing looks at it:
/// control fields of Envoy removed, the client appended to `x-forwarded-for`, `x-forwarded-proto` and `x-request-id`
/// overwritten, `Expect` answered by us and not passed on. Returns whose request it is (`mutateRequestHeaders` in
/// source/common/http/conn_manager_utility.cc, with `use_remote_address` and `xff_num_trusted_hops`).
pub fn receive(headers: &mut HeaderMap, arrival: &Arrival<'_>) -> Sender {
    // A small map doubles with every other field that is added, and places all anew each time.
    let _has_room = headers.try_reserve(ADDED).is_ok();
    let address = arrival.trusted_proxies.checked_sub(1).and_then(|skipped| address_from_last(headers, skipped));
    let mut unwanted = SmallVec::<[HeaderName; 2]>::new();
    let mut was_forwarded = false;
    for name in headers.keys() {
        let text = name.as_str();
        if text.starts_with("x-") {
            was_forwarded |= text == X_FORWARDED_FOR.as_str();
            if REMOVED.contains(&text) {
                unwanted.push(name.clone());
            }
        } else if text == EXPECT.as_str() {
            unwanted.push(EXPECT);
        }
    }
    for name in unwanted {
        headers.remove(name);
    }
    if was_forwarded {
        append_forwarded_for(headers, arrival.peer);
    } else {
        headers.insert(X_FORWARDED_FOR, arrival.peer.clone());
    }
    let said = if arrival.trusted_proxies > 0 { headers.get(X_FORWARDED_PROTO) } else { None };
    let scheme = match said.map(HeaderValue::as_bytes) {
        Some(said) if said.eq_ignore_ascii_case(b"https") => "https",
        Some(said) if said.eq_ignore_ascii_case(b"http") => "http",
        Some(_) => arrival.scheme,
        None => {
            headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(arrival.scheme));
            arrival.scheme
        }
    };
    if let Some(certificate) = arrival.certificate {
        headers.insert(X_FORWARDED_CLIENT_CERT, certificate.clone());
    }
    headers.insert(X_REQUEST_ID, arrival.request_id.clone());
    let external = address.and_then(|address| HeaderValue::try_from(address.to_string()).ok());
    headers.insert(X_ENVOY_EXTERNAL_ADDRESS, external.unwrap_or_else(|| arrival.peer.clone()));
    Sender { address, scheme }
}

/// The address in `x-forwarded-for` that has `skipped` others behind it (`Utility::getLastAddressFromXFF` in
/// source/common/http/utility.cc). `None` when there are not so many, or what stands there is none.
fn address_from_last(headers: &HeaderMap, skipped: usize) -> Option<IpAddr> {
    let values: Vec<&str> = headers.get_all(X_FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok()).collect();
    let address = values.iter().rev().flat_map(|value| value.rsplit(',')).nth(skipped)?;
    address.trim_matches(' ').parse().ok()
}

/// Envoy appends with a comma and no space (`Utility::appendXff`).
fn append_forwarded_for(headers: &mut HeaderMap, peer: &HeaderValue) {
    let mut joined = Vec::new();
    for value in headers.get_all(X_FORWARDED_FOR) {
        joined.extend_from_slice(value.as_bytes());
        joined.push(b',');
    }
    let value = if joined.is_empty() {
        peer.clone()
    } else {
        joined.extend_from_slice(peer.as_bytes());
        // Legal values joined by a comma are a legal value.
        HeaderValue::from_maybe_shared(bytes::Bytes::from(joined)).unwrap_or_else(|_| peer.clone())
    };
    headers.insert(X_FORWARDED_FOR, value);
}

/// Makes `headers` those of a copy of a request, sent by the gateway itself at `gateway` (`Filter::maybeDoShadowing` in
/// envoy's source/common/router/router.cc, and its asynchronous client).
pub fn mark_as_copy(headers: &mut HeaderMap, gateway: IpAddr) {
    if let Ok(gateway) = HeaderValue::try_from(gateway.to_string()) {
        append_forwarded_for(headers, &gateway);
    }
    headers.insert(X_ENVOY_INTERNAL, HeaderValue::from_static("true"));
}

/// Says in a response how long the upstream took to begin it.
pub fn note_upstream_time(headers: &mut HeaderMap, upstream_milliseconds: u64) {
    headers.insert(X_ENVOY_UPSTREAM_SERVICE_TIME, milliseconds(upstream_milliseconds));
}

/// A number as a value; the small ones, which are nearly all, cost no allocation.
fn milliseconds(value: u64) -> HeaderValue {
    const SMALL: [&str; 16] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15"];
    match usize::try_from(value).ok().and_then(|index| SMALL.get(index)) {
        Some(text) => HeaderValue::from_static(text),
        None => HeaderValue::from(value),
    }
}

#[cfg(test)]
mod tests;
