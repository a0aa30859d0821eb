//! A place on an HTTP/2 connection to an endpoint, and the connection where there is none.

use super::{body::RequestBody, choice::Spoken, load_share::LoadShare, worker::Worker};
use crate::{
    balance::limits::{ConnectionPermit, Limited},
    model::traffic_policy::ConnectionPool,
    routing::{cluster::Cluster, traffic::Traffic},
    upstream::{
        carrier::Carrier,
        connect::{Bounds, ConnectError, connect_http2},
        http2::{Http2Connection, Stream},
        lease::PoolKey,
        opening::Opening,
        secure::Secure,
        shelves::ShelfKey,
    },
};
use futures_util::FutureExt as _;
use std::{io, rc::Rc, sync::Arc};
use tokio::time::timeout;

/// A place on a connection to the endpoint of `share`; a new connection, when no other has room for the request. Within
/// the bounds of `connectionPool`, which count as those of HTTP/1 do. It begins with `opening`. `None` for a WebSocket that
/// the endpoint does not take on a stream.
pub(super) async fn acquire(
    worker: &Rc<Worker>,
    share: &LoadShare,
    opening: &Opening,
    spoken: Spoken,
) -> Result<Option<Carrier<RequestBody>>, ConnectError> {
    let traffic = share.traffic();
    let settings = traffic.and_then(|traffic| traffic.connections.as_ref());
    let bounded = traffic.zip(settings);
    let pool = bounded.map_or(0, |(traffic, _)| traffic.balancer.memory().pool);
    let key = ShelfKey { pool: PoolKey { pool, endpoint: share.address() }, opening: opening.clone() };
    let now = worker.clock().now();
    let kept = worker.shelves().stream(&key, now);
    let stream = match kept {
        Some(stream) => stream,
        None => {
            let _pending = match bounded {
                None => None,
                Some((traffic, settings)) => {
                    let limits = &traffic.balancer.memory().limits;
                    let pending = limits.permit(Limited::Pending, settings.max_pending_requests);
                    Some(pending.ok_or(ConnectError::Overflow)?)
                }
            };
            place(worker, share, &key).await?
        }
    };
    if spoken == Spoken::WebSocket && !takes_websockets(worker, settings, &stream).await? {
        return Ok(None);
    }
    if let Some((traffic, settings)) = bounded {
        let request = traffic.balancer.memory().limits.permit(Limited::Request, settings.max_requests);
        share.admit(request.ok_or(ConnectError::Overflow)?);
    }
    Ok(Some(Carrier::Http2(Box::new(stream))))
}

/// Whether the endpoint of `stream` takes WebSockets on its streams. It may not have said so yet, for as long as a connection
/// may take to come about.
async fn takes_websockets(
    worker: &Worker,
    settings: Option<&ConnectionPool>,
    stream: &Stream<RequestBody>,
) -> Result<bool, ConnectError> {
    let limit = settings.and_then(|settings| settings.connect_timeout);
    match timeout(limit.unwrap_or_else(|| worker.settings().limits.connect_timeout), stream.takes_connect()).await {
        Ok(takes) => takes.map_err(|_closed| ConnectError::Failed(io::ErrorKind::ConnectionReset)),
        Err(_passed) => {
            stream.close_connection();
            Err(ConnectError::TimedOut)
        }
    }
}

/// A place on a connection that is made now, unless there may be no more of them and this worker has one.
async fn place(worker: &Rc<Worker>, share: &LoadShare, key: &ShelfKey) -> Result<Stream<RequestBody>, ConnectError> {
    loop {
        let is_full = share.traffic().is_some_and(|traffic| {
            let most = traffic.connections.as_ref().and_then(|settings| settings.max_connections);
            most.is_some_and(|most| traffic.balancer.memory().limits.counts().connections >= most)
        });
        if is_full && let Some(stream) = worker.shelves().crowded(key, worker.clock().now()) {
            return Ok(stream);
        }
        let make = || make(Rc::clone(worker), share.cluster(), key.clone()).boxed_local();
        let connecting = worker.shelves().connecting(key, make);
        connecting.await?;
        // Others who waited for it may have taken all its places.
        if let Some(stream) = worker.shelves().stream(key, worker.clock().now()) {
            return Ok(stream);
        }
    }
}

/// A connection for requests with `key`, which is on its shelf when it is returned.
async fn make(
    worker: Rc<Worker>,
    cluster: Option<Arc<Cluster>>,
    key: ShelfKey,
) -> Result<Rc<Http2Connection>, ConnectError> {
    let gateway = worker.settings();
    let fastpath = gateway.fastpath.as_ref();
    let allows = worker.shelves().allows(&key);
    let endpoint = key.pool.endpoint;
    let traffic = cluster.as_ref().and_then(|cluster| cluster.traffic.as_deref());
    let bounded = traffic.and_then(|traffic| Some((traffic, traffic.connections.as_ref()?)));
    let connection = match bounded {
        // As in `choice::acquire`.
        None if !key.opening.is_plain() => return Err(ConnectError::NoTls),
        None => connect_http2(endpoint, gateway.limits.connect_timeout, fastpath, None, allows).await?,
        Some((traffic, settings)) => {
            let permit = match settings.max_connections {
                None => None,
                Some(most) => Some(permit(traffic, most).await),
            };
            let timeout = settings.connect_timeout.unwrap_or(gateway.limits.connect_timeout);
            let secure = Secure::of(&gateway.tls, &traffic.tls, key.opening.name.as_ref());
            let now = worker.clock().now();
            let bounds = Bounds { pool: key.pool.pool, opening: &key.opening, settings, permit, now, secure };
            connect_http2(endpoint, timeout, fastpath, Some(bounds), allows).await?
        }
    };
    worker.shelves().put(key, Rc::clone(&connection));
    Ok(connection)
}

/// Leave for one of `most` connections, once it is its turn.
async fn permit(traffic: &Traffic, most: u32) -> ConnectionPermit {
    let waiting = traffic.balancer.memory().limits.wait(most);
    loop {
        waiting.turn().await;
        if let Some(permit) = waiting.open() {
            return permit;
        }
    }
}
