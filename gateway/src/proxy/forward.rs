//! Forwarding: a destination, an endpoint, a connection, and the answer back.

use super::{
    affinity::Affinity,
    arrival::{Arrived, with_path},
    body::{RequestBody, ResponseBody},
    choice::{acquire, choose},
    client::Client,
    fields::{self, ResponseFields},
    load_share::LoadShare,
    local_reply::LocalReply,
    outcome::Outcome,
    record::Record,
    returned,
    worker::Worker,
};
use crate::{
    balance::outliers::Observed,
    message::{
        forwarded::{X_ENVOY_ATTEMPT_COUNT, X_ENVOY_DECORATOR_OPERATION, X_ENVOY_ORIGINAL_HOST, X_ENVOY_ORIGINAL_PATH},
        rewrite,
    },
    routing::{
        cluster::{Cluster, ClusterId, ClusterState},
        route::{ForwardAction, Route},
        snapshot::Snapshot,
    },
    upstream::{connect::ConnectError, connection::SendErrorKind},
};
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri,
    header::{CONNECTION, HOST, TRANSFER_ENCODING, UPGRADE},
    uri::PathAndQuery,
};
use hyper::body::Incoming;
use smallvec::SmallVec;
use std::{borrow::Cow, net::SocketAddr, rc::Rc, sync::Arc, time::Duration};

/// Istio's default retry policy tries again twice when no connection comes about; nothing has been sent then
/// (`cachedDefaultPolicy` in istio/pilot/pkg/networking/core/route/retry/retry.go).
const CONNECT_RETRIES: usize = 2;

/// Envoy's `upstream.base_retry_backoff_ms`.
const BASE_BACK_OFF_MILLISECONDS: u64 = 25;

/// A request with its destination drawn and its head rewritten, ready to go out.
#[derive(Debug)]
pub(super) struct Plan {
    method: Method,
    target: PathAndQuery,
    headers: HeaderMap,
    body: Incoming,
    websocket: bool,
    cluster: Arc<Cluster>,
    cluster_id: ClusterId,
    affinity: Option<Box<Affinity>>,
    fields: Option<ResponseFields>,
}

/// What can be sent again when a kept connection turns out to be dead: a request that is safe to repeat (RFC 9110
/// §9.2.2) and has no body.
struct Repeatable {
    method: Method,
    target: PathAndQuery,
    headers: HeaderMap,
}

impl Plan {
    /// Draws a destination of `action` and rewrites the head for it.
    pub(super) fn draw(
        client: &Client,
        snapshot: &Snapshot,
        route: &Arc<Route>,
        action: &ForwardAction,
        mut arrived: Arrived,
    ) -> Self {
        let index = if action.destinations.len() == 1 { 0 } else { action.draw.draw(fastrand::u64(..)) };
        let destination = &action.destinations[index];
        let cluster = Arc::clone(snapshot.cluster(destination.cluster));
        // Values of response fields that are made from the request are made from the one that goes upstream, if one does:
        // Envoy's router answers for an unknown cluster before it changes the request.
        let is_unknown = matches!(cluster.state, ClusterState::Unknown(_));
        let fields_of = |arrived: &Arrived| ResponseFields::of_destination(client, route, index, &cluster, arrived);
        let mut fields = if is_unknown { fields_of(&arrived) } else { None };

        if let Some(operation) = client.worker.operation(snapshot.generation, route, &cluster.name) {
            arrived.headers.insert(X_ENVOY_DECORATOR_OPERATION, operation);
        }
        fields::apply_to_request(client, route, action, destination, &cluster, &mut arrived);
        if let Some(authority) = action.authority.as_ref().or(destination.authority.as_ref())
            && let Ok(authority) = HeaderValue::try_from(&**authority)
            && let Some(original) = arrived.headers.insert(HOST, authority)
        {
            arrived.headers.insert(X_ENVOY_ORIGINAL_HOST, original);
        }
        let rewritten = rewrite::rewritten_path(action.rewrite.as_ref(), &route.condition, arrived.target.path());
        if let Cow::Owned(path) = rewritten
            && let Some(target) = with_path(&path, arrived.target.query())
        {
            let original = std::mem::replace(&mut arrived.target, target);
            if let Ok(original) = HeaderValue::try_from(original.as_str()) {
                arrived.headers.insert(X_ENVOY_ORIGINAL_PATH, original);
            }
        }
        if !is_unknown {
            fields = fields_of(&arrived);
        }
        if arrived.chunked {
            arrived.headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        if arrived.websocket {
            arrived.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
            arrived.headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        }
        let affinity = Affinity::of(client, snapshot, action, &cluster, &arrived.headers, &arrived.target);
        let Arrived { method, target, headers, body, websocket, .. } = arrived;
        Self { method, target, headers, body, websocket, cluster, cluster_id: destination.cluster, affinity, fields }
    }
}

/// Carries out `plan`.
pub(super) async fn forward(client: &Client, plan: Box<Plan>, mut record: Record) -> Response<ResponseBody> {
    let Plan { method, target, headers, body, websocket, mut cluster, cluster_id, affinity, mut fields } = *plan;
    record.routed_to(&cluster);
    let reply = |reply: LocalReply, mut record: Record, fields: Option<&ResponseFields>| {
        reply.into_response(&method, &mut record, |status, headers| {
            if let Some(fields) = fields {
                fields.apply(status, headers);
            }
        })
    };
    let mut tried: SmallVec<[SocketAddr; CONNECT_RETRIES + 1]> = SmallVec::new();
    let mut request = new_request(&method, target, headers, RequestBody::new(body, Rc::clone(&client.activity)));
    let mut repeated = false;
    loop {
        let ClusterState::Known(_) = &cluster.state else {
            let unknown = LocalReply::new(StatusCode::SERVICE_UNAVAILABLE, Outcome::NO_CLUSTER);
            return reply(unknown, record, fields.as_ref());
        };
        let Some(chosen) = choose(&cluster, affinity.as_deref(), &tried) else {
            return reply(LocalReply::no_endpoint(), record, fields.as_ref());
        };
        // From now on, not from the moment the connection stands: an endpoint that does not answer would look idle, and
        // draw every request to itself.
        let load = LoadShare::begin(chosen);
        let address = load.address();
        if let Some(fields) = &mut fields {
            fields.upstream = Some(address);
        }
        if let Some(facts) = record.facts() {
            facts.upstream_host = Some(address);
        }
        let mut connection = match acquire(&client.worker, &load, repeated).await {
            Ok(connection) => connection,
            Err(error @ (ConnectError::Overflow | ConnectError::NoTls)) => {
                return reply(unreachable(error), record, fields.as_ref());
            }
            Err(error) => {
                drop(load);
                tracing::debug!(endpoint = %address, ?error, "cannot connect");
                tried.push(address);
                if tried.len() > CONNECT_RETRIES {
                    return reply(unreachable(error), record, fields.as_ref());
                }
                back_off(tried.len()).await;
                cluster = as_of_now(&client.worker, cluster_id, cluster);
                continue;
            }
        };
        request.headers_mut().insert(X_ENVOY_ATTEMPT_COUNT, attempt(tried.len()));
        let reused = connection.exchanges > 0;
        let repeatable = (reused && !repeated).then(|| Repeatable::of(&request)).flatten();
        let mut sent = connection.send(request).await;
        match &sent {
            Ok(response) => load.observe_answer(response.status(), response.headers()),
            Err(error) if error.kind == SendErrorKind::RequestBody || (error.unsent.is_some() && reused) => {}
            Err(_) => load.observe(Observed::Failed),
        }
        if let (Ok(response), Some(affinity)) = (&mut sent, &affinity) {
            affinity.give_cookies(response.headers_mut());
        }
        match sent {
            Ok(response) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                if !websocket {
                    return reply(broken(SendErrorKind::Protocol, client), record, fields.as_ref());
                }
                // Boxed: rare, and large with the whole connection in it.
                let switch = returned::switch(client, response, *connection, record, load, fields.as_ref());
                return Box::pin(switch).await;
            }
            Ok(response) => match returned::pass(client, response, connection, record, load, fields.as_ref()).await {
                Ok(response) => return response,
                Err((record, kind)) => return reply(broken(kind, client), record, fields.as_ref()),
            },
            Err(error) => match (error.unsent, repeatable) {
                // Not a byte of it has been written, so that it is whole. A kept connection that has died says nothing about
                // its endpoint; a new one that dies at once is a failure to connect.
                (Some(unsent), _) if reused => request = *unsent,
                (Some(unsent), _) if tried.len() < CONNECT_RETRIES => {
                    drop(load);
                    tried.push(address);
                    back_off(tried.len()).await;
                    cluster = as_of_now(&client.worker, cluster_id, cluster);
                    request = *unsent;
                }
                // The endpoint closed a kept connection in the moment we used it.
                (None, Some(again)) if error.kind == SendErrorKind::Terminated => {
                    repeated = true;
                    request = again.into_request(client);
                }
                _ => return reply(broken(error.kind, client), record, fields.as_ref()),
            },
        }
    }
}

fn new_request(method: &Method, target: PathAndQuery, headers: HeaderMap, body: RequestBody) -> Request<RequestBody> {
    let mut request = Request::new(body);
    *request.method_mut() = method.clone();
    *request.uri_mut() = Uri::from(target);
    *request.headers_mut() = headers;
    request
}

/// `cluster` with its endpoints of this moment: a try may have taken ten seconds, and pods that go, go together. The route
/// and the destination stay those of the request's own snapshot, as in Envoy, whose retries draw from the cluster's
/// current hosts.
fn as_of_now(worker: &Worker, id: ClusterId, cluster: Arc<Cluster>) -> Arc<Cluster> {
    worker.published().load().same_cluster(id, &cluster.name).map_or(cluster, Arc::clone)
}

/// Envoy's fully jittered back-off between tries: up to 25 ms, then up to 50 ms (`JitteredExponentialBackOffStrategy` in
/// source/common/common/backoff_strategy.cc).
async fn back_off(failures: usize) {
    let most = BASE_BACK_OFF_MILLISECONDS << failures.saturating_sub(1).min(3);
    tokio::time::sleep(Duration::from_millis(fastrand::u64(0..most))).await;
}

fn attempt(failures: usize) -> HeaderValue {
    HeaderValue::from_static(match failures {
        0 => "1",
        1 => "2",
        _ => "3",
    })
}

/// 503 when no connection came about, in Envoy's words.
fn unreachable(error: ConnectError) -> LocalReply {
    let (outcome, text) = match error {
        ConnectError::Overflow => return LocalReply::overflow(),
        ConnectError::NoTls => return LocalReply::no_tls(),
        ConnectError::Failed(_) => (
            Outcome::CONNECT_FAILED,
            "upstream connect error or disconnect/reset before headers. retried and the latest reset reason: remote \
             connection failure",
        ),
        ConnectError::TimedOut => (
            Outcome::CONNECT_TIMED_OUT,
            "upstream connect error or disconnect/reset before headers. retried and the latest reset reason: \
             connection timeout",
        ),
    };
    LocalReply::with_text(StatusCode::SERVICE_UNAVAILABLE, outcome, text)
}

/// The answer when an exchange broke before its response head, in Envoy's words.
fn broken(kind: SendErrorKind, client: &Client) -> LocalReply {
    match kind {
        SendErrorKind::Terminated => LocalReply::with_text(
            StatusCode::SERVICE_UNAVAILABLE,
            Outcome::TERMINATED,
            "upstream connect error or disconnect/reset before headers. reset reason: connection termination",
        ),
        SendErrorKind::Protocol => LocalReply::with_text(
            StatusCode::BAD_GATEWAY,
            Outcome::PROTOCOL_ERROR,
            "upstream connect error or disconnect/reset before headers. reset reason: protocol error",
        ),
        SendErrorKind::RequestBody => {
            let reply = if client.activity.body_expired() {
                LocalReply::with_text(StatusCode::REQUEST_TIMEOUT, Outcome::REQUEST_BODY_TIMEOUT, "stream timeout")
            } else {
                LocalReply::new(StatusCode::BAD_REQUEST, Outcome::BAD_REQUEST)
            };
            // Where the next request begins in what the client sends, nobody knows.
            reply.with_header(CONNECTION, HeaderValue::from_static("close"))
        }
    }
}

impl Repeatable {
    fn of(request: &Request<RequestBody>) -> Option<Self> {
        let no_body = http_body::Body::is_end_stream(request.body());
        if !no_body || !request.method().is_idempotent() {
            return None;
        }
        Some(Self {
            method: request.method().clone(),
            target: request.uri().path_and_query()?.clone(),
            headers: request.headers().clone(),
        })
    }

    fn into_request(self, client: &Client) -> Request<RequestBody> {
        new_request(&self.method, self.target, self.headers, RequestBody::empty(Rc::clone(&client.activity)))
    }
}
