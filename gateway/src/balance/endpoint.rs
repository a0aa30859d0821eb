//! Power of two choices over active requests: Istio's default load balancer, LEAST_REQUEST.

use crate::routing::cluster::Endpoint;
use std::sync::Arc;

/// The endpoint for a request: the less loaded of two drawn at random with `random`, a uniform 64-bit number, as Envoy's
/// least-request balancer does with equal weights (source/extensions/load_balancing_policies/least_request).
/// `None` without endpoints.
pub fn least_request(endpoints: &[Arc<Endpoint>], random: u64) -> Option<&Arc<Endpoint>> {
    match endpoints {
        [] => None,
        [only] => Some(only),
        _ => {
            let count = endpoints.len() as u64;
            let first = &endpoints[index(random >> 32, count)];
            let second = &endpoints[index(random & 0xffff_ffff, count)];
            Some(if second.load.get() < first.load.get() { second } else { first })
        }
    }
}

/// Maps a uniform 32-bit number to `0..count`.
fn index(random: u64, count: u64) -> usize {
    usize::try_from((random * count) >> 32).unwrap_or(0)
}
