//! Copies of requests to other clusters, whose answers nobody reads. Nothing here may slow or break the request itself.

use super::{
    body::RequestBody,
    choice::{Spoken, acquire, choose},
    client::Client,
    load_share::LoadShare,
    tap::Tap,
    worker::Worker,
};
use crate::{
    message::forwarded,
    routing::{cluster::Cluster, route_policy::RoutePolicy, snapshot::Snapshot},
};
use http::{HeaderMap, Method, Request, Version, uri::PathAndQuery};
use http_body::Body as _;
use smallvec::SmallVec;
use std::{future::poll_fn, pin::Pin, rc::Rc, sync::Arc, time::Duration};
use tokio::{task, time::timeout};

/// Copies on their way at once from one worker; more are left out, and counted.
const MOST_IN_FLIGHT: usize = 1024;

/// For a route without a timeout of its own: a backend that never answers must not hold its place for ever.
const PATIENCE: Duration = Duration::from_secs(60);

/// The clusters that get a copy of one request.
pub(super) type Drawn = SmallVec<[Arc<Cluster>; 1]>;

/// Draws for every mirror of `policy` by itself.
pub(super) fn draw(policy: &RoutePolicy, snapshot: &Snapshot, mut random: impl FnMut() -> u64) -> Drawn {
    let taken = policy.mirrors.iter().filter(|mirror| mirror.share.takes(random()));
    taken.map(|mirror| Arc::clone(snapshot.cluster(mirror.cluster))).collect()
}

/// The head of a request that is copied, as it goes out.
pub(super) struct Original<'a> {
    pub(super) method: &'a Method,
    pub(super) target: &'a PathAndQuery,
    pub(super) headers: &'a HeaderMap,
    /// `None` for a request without a limit.
    pub(super) limit: Option<Duration>,
    /// Over which the client came.
    pub(super) scheme: &'static str,
    /// Of the request.
    pub(super) version: Version,
}

/// Sends a copy of `original` to `cluster`, if it has an endpoint, and returns at once. `body` is there for a request that
/// has one.
pub(super) fn send(client: &Client, cluster: &Arc<Cluster>, original: &Original<'_>, body: Option<Rc<Tap>>) {
    let Some(chosen) = choose(cluster, None, &[], &[]) else { return };
    let worker = Rc::clone(&client.worker);
    let Some(place) = Place::take(&worker) else {
        worker.telemetry().mirrors().refused.inc();
        return;
    };
    let body = match body {
        Some(tap) => RequestBody::tapped(tap, Rc::clone(&client.activity)),
        None => RequestBody::empty(Rc::clone(&client.activity)),
    };
    let mut request =
        super::attempts::new_request(original.method, original.target.clone(), original.headers.clone(), body);
    forwarded::mark_as_copy(request.headers_mut(), client.local.ip().to_canonical());
    let (share, limit) = (LoadShare::begin(chosen), original.limit.unwrap_or(PATIENCE));
    let is_http2 = cluster.speaks.is_http2(original.version == Version::HTTP_2);
    let (scheme, spoken) = (original.scheme, if is_http2 { Spoken::Http2 } else { Spoken::Http1 });
    task::spawn_local(async move {
        let _place = place;
        let carried = matches!(timeout(limit, carry(&worker, &share, request, scheme, spoken)).await, Ok(Some(())));
        let mirrors = worker.telemetry().mirrors();
        if carried {
            mirrors.sent.inc()
        } else {
            mirrors.failed.inc()
        };
    });
}

/// Sends `request` and reads its answer to the end. `None` when something went wrong; nobody wants to know what.
async fn carry(
    worker: &Rc<Worker>,
    share: &LoadShare,
    request: Box<Request<RequestBody>>,
    scheme: &str,
    spoken: Spoken,
) -> Option<()> {
    let mut carrier = acquire(worker, share, request.headers(), None, false, spoken).await.ok()?;
    let mut body = carrier.send(request, scheme).await.ok()?.into_body();
    poll_fn(|cx| {
        loop {
            let frame = Pin::new(&mut body).poll_frame(cx);
            let frame = if frame.is_pending() {
                // The bytes come only while somebody drives the connection.
                carrier.drive(cx);
                Pin::new(&mut body).poll_frame(cx)
            } else {
                frame
            };
            match std::task::ready!(frame) {
                Some(Ok(_)) => {}
                Some(Err(_)) => return std::task::Poll::Ready(None),
                None => return std::task::Poll::Ready(Some(())),
            }
        }
    })
    .await?;
    worker.give_back(carrier);
    Some(())
}

/// One of a worker's places for copies; it is free again with the end of the value.
#[derive(Debug)]
struct Place(Rc<Worker>);

impl Place {
    fn take(worker: &Rc<Worker>) -> Option<Self> {
        let taken = worker.mirrors_in_flight();
        if taken.get() >= MOST_IN_FLIGHT {
            return None;
        }
        taken.set(taken.get() + 1);
        Some(Self(Rc::clone(worker)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let taken = self.0.mirrors_in_flight();
        taken.set(taken.get().saturating_sub(1));
    }
}
