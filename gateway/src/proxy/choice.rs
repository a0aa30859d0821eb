//! Which endpoint of a cluster a request goes to, and a connection to it.

use super::{body::RequestBody, worker::Worker};
use crate::{
    balance::endpoint::least_request,
    routing::cluster::Endpoint,
    upstream::{
        connect::{ConnectError, connect},
        connection::UpstreamConnection,
    },
};
use std::{net::SocketAddr, sync::Arc};

/// Istio's `hostSelectionRetryMaxAttempts`: so many draws to find an endpoint that has not failed this request yet.
const OTHER_ENDPOINT_DRAWS: usize = 5;

/// An endpoint that has not failed this request yet; any, once every one has.
///
/// Envoy's predicate `previous_hosts` gives up after the draws and takes what the last one gave. Beside a dead endpoint,
/// which is never busy, that is often the dead one again; looking through the list costs nothing and loses no request.
pub(super) fn choose<'e>(endpoints: &'e [Arc<Endpoint>], tried: &[SocketAddr]) -> Option<&'e Arc<Endpoint>> {
    let draw = || least_request(endpoints, fastrand::u64(..));
    let first = draw()?;
    if tried.is_empty() {
        return Some(first);
    }
    let start = fastrand::usize(..endpoints.len());
    let all = endpoints[start..].iter().chain(&endpoints[..start]);
    let mut candidates = (0..OTHER_ENDPOINT_DRAWS).filter_map(|_| draw()).chain(all);
    Some(candidates.find(|endpoint| !tried.contains(&endpoint.address)).unwrap_or(first))
}

/// A kept connection, or a new one. `fresh` asks for a new one in any case.
pub(super) async fn acquire(
    worker: &Worker,
    endpoint: SocketAddr,
    fresh: bool,
) -> Result<Box<UpstreamConnection<RequestBody>>, ConnectError> {
    if !fresh && let Some(kept) = worker.pool().take(endpoint) {
        return Ok(kept);
    }
    let settings = worker.settings();
    // Boxed, so that every exchange does not carry the room for it.
    let fastpath = settings.fastpath.as_ref();
    Box::pin(connect(endpoint, settings.limits.connect_timeout, fastpath)).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{balance::load::Load, proxy::record::LoadShare};

    fn endpoint(last: u8) -> Arc<Endpoint> {
        let address = SocketAddr::from(([10, 0, 0, last], 80));
        Arc::new(Endpoint { address, pod: None, node: None, zone: None, load: Load::default() })
    }

    #[test]
    fn a_retry_finds_whoever_has_not_failed() {
        let endpoints: Vec<_> = (0..4).map(endpoint).collect();
        let tried: Vec<_> = endpoints[1..].iter().map(|endpoint| endpoint.address).collect();
        // The only one left is the busiest, so that a draw by load hardly ever leads to it.
        let _busy: Vec<_> = (0..100).map(|_| LoadShare::begin(&endpoints[0])).collect();
        for _ in 0..1000 {
            assert_eq!(choose(&endpoints, &tried).map(|chosen| chosen.address), Some(endpoints[0].address));
        }
        let all: Vec<_> = endpoints.iter().map(|endpoint| endpoint.address).collect();
        assert!(choose(&endpoints, &all).is_some(), "a failed one is better than none");
        assert!(choose(&[], &[]).is_none());
    }
}
