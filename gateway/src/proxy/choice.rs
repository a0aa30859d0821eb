//! Which endpoint of a cluster a request goes to, and a connection to it.

use super::{
    affinity::Affinity,
    body::RequestBody,
    load_share::{Chosen, LoadShare, now},
    places,
    worker::Worker,
};
use crate::{
    balance::{balancer::Choice, endpoint::least_request, limits::Limited, outliers::Observed},
    message::proxy_header::Addresses,
    model::{origination::ClientTls, traffic_policy::ConnectionPool},
    routing::{
        cluster::{Cluster, Endpoint},
        traffic::Traffic,
    },
    upstream::{
        carrier::Carrier,
        connect::{Bounds, ConnectError, connect},
        connection::UpstreamConnection,
        lease::PoolKey,
        opening::{Announcement, Opening},
        secure::Secure,
    },
};
use http::{HeaderMap, header::HOST};
use std::{net::SocketAddr, rc::Rc, sync::Arc};

/// Istio's `hostSelectionRetryMaxAttempts`: so many draws to find an endpoint that has not failed this request yet.
const OTHER_ENDPOINT_DRAWS: usize = 5;

/// What an endpoint is spoken to in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spoken {
    Http1,
    Http2,
    /// A WebSocket on a stream of HTTP/2 if the endpoint takes it there; otherwise it is asked for in HTTP/1.1.
    WebSocket,
}

/// An endpoint of `cluster` that has not failed this request yet, which are `tried`; any, once every one has. A retry may have
/// `left` the localities of others behind.
///
/// Envoy's predicate `previous_hosts` gives up after the draws and takes what the last one gave. Beside a dead endpoint,
/// which is never busy, that is often the dead one again; looking through the list costs nothing and loses no request.
pub(super) fn choose(
    cluster: &Arc<Cluster>,
    affinity: Option<&Affinity>,
    tried: &[SocketAddr],
    left: &[SocketAddr],
) -> Option<Chosen> {
    let tried = if affinity.is_some_and(|affinity| affinity.stays) { &[] } else { tried };
    let Some(traffic) = &cluster.traffic else {
        let endpoint = choose_by_load(cluster.endpoints(), tried)?;
        return Some(Chosen { endpoint: Arc::clone(endpoint), member: None });
    };
    let choice = Choice { now: now(), hash: affinity.and_then(|affinity| affinity.hash), tried, left };
    let index = traffic.balancer.choose(choice, &mut || fastrand::u64(..))?;
    let endpoint = Arc::clone(traffic.balancer.endpoint(index)?);
    Some(Chosen { endpoint, member: Some((Arc::clone(cluster), index)) })
}

fn choose_by_load<'e>(endpoints: &'e [Arc<Endpoint>], tried: &[SocketAddr]) -> Option<&'e Arc<Endpoint>> {
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

/// A kept connection to the endpoint of `share`, or a new one, for HTTP/2 a place on one, for a request with these
/// `headers`, which came on a connection between `client`, if it is a client's. `fresh` asks for a new one in any case, where
/// nobody shares it. Outlier detection learns how it went.
pub(super) async fn acquire(
    worker: &Rc<Worker>,
    share: &LoadShare,
    headers: &HeaderMap,
    client: Option<Addresses>,
    fresh: bool,
    spoken: Spoken,
) -> Result<Carrier<RequestBody>, ConnectError> {
    let Some(traffic) = share.traffic() else {
        if spoken != Spoken::Http1
            && let Some(carrier) = Box::pin(places::acquire(worker, share, &Opening::PLAIN, spoken)).await?
        {
            return Ok(carrier);
        }
        return acquire_plain(worker, share.address(), fresh).await.map(Carrier::Http1);
    };
    let name = match &traffic.tls {
        ClientTls::Disable => None,
        ClientTls::NotServed => return Err(ConnectError::NoTls),
        ClientTls::Begin(tls) => Some(tls.origination.server_name.clone().unwrap_or_else(|| host(headers).into())),
    };
    let announcement = traffic.proxy_protocol.map(|version| Arc::new(Announcement { version, addresses: client }));
    let opening = &Opening { name, announcement };
    let on_stream = match spoken {
        // A cluster with TLS or PROXY headers has bounds, and so a pool of its own; nothing may be sent without them should it
        // have none.
        _ if traffic.connections.is_none() && !opening.is_plain() => return Err(ConnectError::NoTls),
        Spoken::Http1 => Ok(None),
        Spoken::Http2 | Spoken::WebSocket => Box::pin(places::acquire(worker, share, opening, spoken)).await,
    };
    let acquired = match (on_stream, &traffic.connections) {
        (Ok(Some(carrier)), _) => Ok(carrier),
        (Err(error), _) => Err(error),
        (Ok(None), Some(settings)) => {
            Box::pin(acquire_bounded(worker, share, traffic, settings, opening, fresh)).await.map(Carrier::Http1)
        }
        (Ok(None), None) => acquire_plain(worker, share.address(), fresh).await.map(Carrier::Http1),
    };
    match &acquired {
        Ok(_) => share.observe(Observed::Connected),
        Err(ConnectError::Failed(_)) => share.observe(Observed::Failed),
        Err(ConnectError::Handshake(no_tls)) => {
            worker.endpoint_refused(share, no_tls);
            share.observe(Observed::Failed);
        }
        Err(ConnectError::TimedOut) => share.observe(Observed::TimedOut),
        // The endpoint has nothing to do with it.
        Err(ConnectError::Overflow | ConnectError::NoTls) => {}
    }
    acquired
}

/// The host of a request as it goes out, without its port: what Envoy's `auto_sni` and `auto_san_validation` take
/// (`Filter::decodeHeaders` in source/common/router/router.cc).
fn host(headers: &HeaderMap) -> &str {
    let authority = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    if let Some((address, _)) = authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return address;
    }
    authority.split(':').next().unwrap_or_default()
}

async fn acquire_plain(
    worker: &Worker,
    endpoint: SocketAddr,
    fresh: bool,
) -> Result<Box<UpstreamConnection<RequestBody>>, ConnectError> {
    if !fresh && let Some(kept) = worker.pool().take(PoolKey { pool: 0, endpoint }, &Opening::PLAIN) {
        return Ok(kept);
    }
    let settings = worker.settings();
    // Boxed, so that every exchange does not carry the room for it.
    let fastpath = settings.fastpath.as_ref();
    Box::pin(connect(endpoint, settings.limits.connect_timeout, fastpath, None)).await
}

/// The same within the bounds of `connectionPool`. As in Envoy, a request counts as pending from the moment in which there is
/// no connection at rest for it until it has one, and as a request of the cluster from then on (`ConnPoolImplBase` in
/// source/common/conn_pool/conn_pool_base.cc).
async fn acquire_bounded(
    worker: &Worker,
    share: &LoadShare,
    traffic: &Traffic,
    settings: &ConnectionPool,
    opening: &Opening,
    fresh: bool,
) -> Result<Box<UpstreamConnection<RequestBody>>, ConnectError> {
    let memory = traffic.balancer.memory();
    let limits = &memory.limits;
    let key = PoolKey { pool: memory.pool, endpoint: share.address() };
    let kept = || if fresh { None } else { worker.pool().take(key, opening) };
    let is_first = settings.max_connections.is_none() || !limits.has_line();
    let mut connection = if is_first { kept() } else { None };
    if connection.is_none() {
        let pending = limits.permit(Limited::Pending, settings.max_pending_requests).ok_or(ConnectError::Overflow)?;
        let mut permit = None;
        if let Some(most) = settings.max_connections {
            let waiting = limits.wait(most);
            while connection.is_none() && permit.is_none() {
                waiting.turn().await;
                connection = kept();
                if connection.is_none() {
                    permit = waiting.open();
                }
            }
        }
        if connection.is_none() {
            let gateway = worker.settings();
            let timeout = settings.connect_timeout.unwrap_or(gateway.limits.connect_timeout);
            let secure = Secure::of(&gateway.tls, &traffic.tls, opening.name.as_ref());
            let now = worker.clock().now();
            let bounds = Bounds { pool: memory.pool, opening, settings, permit, now, secure };
            connection = Some(connect(key.endpoint, timeout, gateway.fastpath.as_ref(), Some(bounds)).await?);
        }
        drop(pending);
    }
    let connection = connection.ok_or(ConnectError::Overflow)?;
    match limits.permit(Limited::Request, settings.max_requests) {
        Some(request) => {
            share.admit(request);
            Ok(connection)
        }
        None => {
            worker.give_back(Carrier::Http1(connection));
            Err(ConnectError::Overflow)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::load::Load;

    fn endpoint(last: u8) -> Arc<Endpoint> {
        let address = SocketAddr::from(([10, 0, 0, last], 80));
        Arc::new(Endpoint { address, pod: None, node: None, zone: None, load: Load::default() })
    }

    #[test]
    fn a_retry_finds_whoever_has_not_failed() {
        let endpoints: Vec<_> = (0..4).map(endpoint).collect();
        let tried: Vec<_> = endpoints[1..].iter().map(|endpoint| endpoint.address).collect();
        // The only one left is the busiest, so that a draw by load hardly ever leads to it.
        let busy = || LoadShare::begin(Chosen { endpoint: Arc::clone(&endpoints[0]), member: None });
        let _busy: Vec<_> = (0..100).map(|_| busy()).collect();
        for _ in 0..1000 {
            assert_eq!(choose_by_load(&endpoints, &tried).map(|chosen| chosen.address), Some(endpoints[0].address));
        }
        let all: Vec<_> = endpoints.iter().map(|endpoint| endpoint.address).collect();
        assert!(choose_by_load(&endpoints, &all).is_some(), "a failed one is better than none");
        assert!(choose_by_load(&[], &[]).is_none());
    }
}
