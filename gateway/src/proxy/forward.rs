//! Forwarding: a destination, an endpoint, a connection, and the answer back.

use super::{
    affinity::Affinity,
    arrival::{Arrived, BodyLength, with_path},
    attempt::{Attempt, Tried},
    attempts::{Attempts, new_request},
    body::{RequestBody, ResponseBody},
    by_name,
    choice::{Spoken, choose},
    client::Client,
    fields::{self, ResponseFields},
    load_share::LoadShare,
    local_reply::LocalReply,
    mirror::{self, Drawn, Original},
    outcome::Outcome,
    record::Record,
    returned,
    timing::{RequestEnd, Timing, within},
    upload::Upload,
    upstream_failure,
    websocket::{Agreement, Meaning},
    worker::Worker,
};
use crate::{
    message::{
        forwarded::{X_ENVOY_ATTEMPT_COUNT, X_ENVOY_DECORATOR_OPERATION, X_ENVOY_ORIGINAL_HOST, X_ENVOY_ORIGINAL_PATH},
        retry_fields,
        retry_policy::{Reset, repeats_what_was_sent},
        rewrite,
        time_limits::TimeLimits,
    },
    model::retries::Retries,
    routing::{
        cluster::{Cluster, ClusterId, ClusterState},
        route::{ForwardAction, Route},
        route_policy::{self, RoutePolicy},
        snapshot::Snapshot,
    },
    telemetry::requests::RequestProtocol,
};
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version,
    header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING, UPGRADE},
    uri::PathAndQuery,
};
use http_body::Body as _;
use hyper::body::Incoming;
use std::{
    borrow::Cow,
    pin::pin,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::time::sleep;

/// A request with its destination drawn and its head rewritten, ready to go out.
#[derive(Debug)]
pub(super) struct Plan {
    method: Method,
    target: PathAndQuery,
    headers: HeaderMap,
    body: Incoming,
    websocket: Option<Agreement>,
    /// How the client came, to us or to proxies that are believed.
    scheme: &'static str,
    version: Version,
    cluster: Arc<Cluster>,
    cluster_id: ClusterId,
    affinity: Option<Box<Affinity>>,
    policy: Option<Arc<RoutePolicy>>,
    /// What the rule's own fields make of the policy's retries.
    retries: Option<Box<Retries>>,
    limits: TimeLimits,
    mirrors: Drawn,
    fields: Option<ResponseFields>,
}

impl Plan {
    /// Draws a destination of `action` and rewrites the head for it.
    pub(super) fn draw(
        client: &Client,
        snapshot: &Snapshot,
        route: &Arc<Route>,
        action: &ForwardAction,
        mut arrived: Arrived,
        origin: Option<HeaderValue>,
        protocol: RequestProtocol,
    ) -> Self {
        let index = drawn(action);
        let destination = &action.destinations[index];
        let cluster = Arc::clone(snapshot.cluster(destination.cluster));
        // Values of response fields that are made from the request are made from the one that goes upstream, if one does:
        // Envoy's router answers for an unknown cluster before it changes the request.
        let is_unknown = matches!(cluster.state, ClusterState::Unknown(_));
        let fields_of =
            |arrived: &Arrived| ResponseFields::of_destination(client, route, index, &cluster, arrived, origin.clone());
        let mut fields = if is_unknown { fields_of(&arrived) } else { None };

        let (policy, is_grpc) = (action.policy.clone(), protocol == RequestProtocol::Grpc);
        let retries = route_policy::retries(policy.as_deref());
        let per_try = retries.per_try_timeout;
        let timeout = policy.as_deref().and_then(|policy| policy.timeout);
        let limits = TimeLimits::of(timeout, per_try, &arrived.headers, is_grpc);
        // Before the route's edits, which may take them away or say something else.
        limits.announce(&mut arrived.headers, Duration::ZERO, is_grpc);
        arrived.headers.insert(X_ENVOY_ATTEMPT_COUNT, HeaderValue::from_static("1"));
        if let Some(operation) = client.worker.operation(snapshot.generation, route, &cluster.name) {
            arrived.headers.insert(X_ENVOY_DECORATOR_OPERATION, operation);
        }
        fields::apply_to_request(client, route, action, destination, &cluster, &mut arrived);
        let edits = [&destination.request_headers, &action.request_headers];
        let says_retries = edits.into_iter().any(retry_fields::puts_some);
        let retries = says_retries.then(|| retry_fields::take(&mut arrived.headers, retries).map(Box::new)).flatten();
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
        let http2 = cluster.speaks.is_http2(arrived.version == Version::HTTP_2) && arrived.websocket.is_none();
        match arrived.length {
            // HTTP/2 shows the end of a body by itself.
            BodyLength::Zero if http2 => {}
            BodyLength::Said => {}
            BodyLength::Zero => _ = arrived.headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0")),
            BodyLength::Open => _ = arrived.headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked")),
        }
        if arrived.websocket.is_some() {
            arrived.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
            arrived.headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        }
        let affinity = Affinity::of(client, snapshot, action, &cluster, &arrived);
        let Arrived { method, scheme, target, headers, body, websocket, version, .. } = arrived;
        let mirrors = policy
            .as_deref()
            .filter(|_| websocket.is_none())
            .map(|policy| mirror::draw(policy, snapshot, || fastrand::u64(..)));
        let (cluster_id, mirrors) = (destination.cluster, mirrors.unwrap_or_default());
        Self {
            method,
            target,
            headers,
            body,
            websocket,
            scheme,
            version,
            cluster,
            cluster_id,
            affinity,
            policy,
            retries,
            limits,
            mirrors,
            fields,
        }
    }
}

/// The fields of an answer of ours in the place of a destination's: Envoy draws the destination with the route, before any
/// filter has a say.
pub(super) fn fields_of_drawn(
    client: &Client,
    snapshot: &Snapshot,
    route: &Arc<Route>,
    action: &ForwardAction,
    arrived: &Arrived,
) -> Option<ResponseFields> {
    let index = drawn(action);
    let cluster = snapshot.cluster(action.destinations[index].cluster);
    ResponseFields::of_destination(client, route, index, cluster, arrived, None)
}

/// The index of a destination.
fn drawn(action: &ForwardAction) -> usize {
    if action.destinations.len() == 1 { 0 } else { action.draw.draw(fastrand::u64(..)) }
}

/// Carries out `plan`.
pub(super) async fn forward(client: &Client, plan: Box<Plan>, mut record: Record) -> Response<ResponseBody> {
    let Plan {
        method,
        target,
        headers,
        body,
        websocket,
        scheme,
        version,
        mut cluster,
        cluster_id,
        affinity,
        policy,
        retries,
        limits,
        mut mirrors,
        mut fields,
    } = *plan;
    record.routed_to(&cluster);
    if record.past().delayed {
        cluster = as_of_now(&client.worker, cluster_id, cluster);
    }
    let reply = |reply: LocalReply, mut record: Record, fields: Option<&ResponseFields>| {
        reply.into_response(&method, &mut record, |status, headers| {
            if let Some(fields) = fields {
                fields.apply(status, headers);
            }
        })
    };
    let is_grpc = record.protocol() == RequestProtocol::Grpc;
    let retries = retries.as_deref().unwrap_or_else(|| route_policy::retries(policy.as_deref()));
    let mut attempts = Attempts::new(retries);
    // With a limit on the whole the end of the request counts, also while no endpoint reads it.
    // What an upgrade has for a body would be bytes of the other protocol on a stream.
    let on_stream = websocket.is_none() || body.is_end_stream();
    let spoken = |cluster: &Cluster| {
        if !cluster.speaks.is_http2(version == Version::HTTP_2) || !on_stream {
            Spoken::Http1
        } else if websocket.is_some() {
            Spoken::WebSocket
        } else {
            Spoken::Http2
        }
    };
    let keep = repeats_what_was_sent(retries, is_grpc, spoken(&cluster) == Spoken::Http2) || limits.total.is_some();
    let watch = limits.per_try.is_some() || !mirrors.is_empty();
    let (body, upload) = body_of(client, body, keep, watch);
    let mut timing = timing(limits, upload.as_ref(), websocket.is_some());
    let mut request = new_request(&method, target, headers, body);
    let mut fresh = false;
    loop {
        let ClusterState::Known(_) = &cluster.state else {
            let unknown = LocalReply::new(StatusCode::SERVICE_UNAVAILABLE, Outcome::NO_CLUSTER);
            return reply(unknown, record, fields.as_ref());
        };
        let chosen = match &cluster.dynamic {
            None => choose(&cluster, affinity.as_deref(), attempts.tried(), attempts.left()),
            Some(dynamic) => {
                // Boxed: rare.
                let found = by_name::choose(&client.worker, &cluster, dynamic, request.headers(), attempts.tried());
                match within(&mut timing, upload.as_deref(), Box::pin(found).as_mut()).await {
                    Ok(found) => found,
                    Err(_passed) => return reply(LocalReply::timed_out(Outcome::TIMED_OUT), record, fields.as_ref()),
                }
            }
        };
        let Some(chosen) = chosen else {
            return reply(LocalReply::no_endpoint(), record, fields.as_ref());
        };
        // From now on, not from the moment the connection stands: an endpoint that does not answer would look idle, and
        // draw every request to itself.
        let load = LoadShare::begin(chosen);
        let endpoint = load.address();
        if let Some(fields) = &mut fields {
            fields.upstream = Some(endpoint);
        }
        if let Some(facts) = record.facts() {
            facts.upstream_host = Some(endpoint);
        }
        if !mirrors.is_empty() {
            copy(client, &request, upload.as_ref(), limits.total, (scheme, version), std::mem::take(&mut mirrors));
        }
        let spoken = spoken(&cluster);
        let attempt = Attempt { client, share: &load, upload: upload.as_ref(), fresh, scheme, spoken };
        let mut tried = attempt.run(request, &mut attempts, &mut timing).await;
        if let (Tried::Answered { response, .. }, Some(affinity)) = (&mut tried, &affinity) {
            affinity.give_cookies(response.headers_mut());
        }
        let (wait, next) = match tried {
            Tried::Answered { response, carrier, again, is_whole } => {
                let (status, headers) = (response.status(), response.headers());
                let meaning = Agreement::meaning(websocket.as_ref(), status, headers, carrier.is_http2());
                if meaning != Meaning::Answer {
                    let (parts, body) = response.into_parts();
                    // Boxed: rare, and large with the whole connection in it.
                    let switched = if meaning == Meaning::Agreed { Box::pin(carrier.switch(body)).await } else { None };
                    return match switched.zip(websocket) {
                        Some((switched, agreement)) => {
                            returned::switch(client, parts, switched, &agreement, record, load, fields.as_ref())
                        }
                        None => reply(
                            upstream_failure::reset(Reset::Protocol, attempts.is_retry()),
                            record,
                            fields.as_ref(),
                        ),
                    };
                }
                let wait = attempts.after_response(&load, status, headers, is_whole, &mut record);
                if let Some((wait, again)) = wait.zip(again) {
                    returned::discard(client, response, carrier);
                    (wait, again.into_request(client))
                } else {
                    match returned::pass(client, response, carrier, record, timing, load, fields.as_ref()) {
                        Ok(response) => return response,
                        Err((record, reset)) => {
                            return reply(upstream_failure::reset(reset, attempts.is_retry()), record, fields.as_ref());
                        }
                    }
                }
            }
            Tried::Reset { reset, again, is_whole } => {
                let is_retry = attempts.is_retry();
                match attempts.after_reset(&load, reset, is_whole, &mut record).zip(again) {
                    Some(next) => next,
                    None => return reply(upstream_failure::reset(reset, is_retry), record, fields.as_ref()),
                }
            }
            Tried::Stale { request: next, fresh: must_be_fresh } => {
                (request, fresh) = (next, fresh || must_be_fresh);
                continue;
            }
            Tried::Refused(answer) => return reply(answer, record, fields.as_ref()),
            Tried::ClientFailed => return reply(upstream_failure::request_body(client), record, fields.as_ref()),
            Tried::TimedOut => return reply(LocalReply::timed_out(Outcome::TIMED_OUT), record, fields.as_ref()),
        };
        drop(load);
        if within(&mut timing, upload.as_deref(), pin!(sleep(wait))).await.is_err() {
            return reply(LocalReply::timed_out(Outcome::TIMED_OUT), record, fields.as_ref());
        }
        request = next;
        request.headers_mut().insert(X_ENVOY_ATTEMPT_COUNT, attempts.count());
        let elapsed =
            timing.as_ref().and_then(|timing| timing.request_end()).map_or(Duration::ZERO, |end| end.elapsed());
        limits.announce(request.headers_mut(), elapsed, is_grpc);
        cluster = as_of_now(&client.worker, cluster_id, cluster);
    }
}

/// The body to send, and, where it must be kept or its end be known, the same as something attempts share.
fn body_of(client: &Client, body: Incoming, keep: bool, watch: bool) -> (RequestBody, Option<Rc<Upload>>) {
    let activity = Rc::clone(&client.activity);
    if body.is_end_stream() || !(keep || watch) {
        return (RequestBody::new(body, activity), None);
    }
    let upload = Upload::new(body, client, keep);
    (RequestBody::of(Rc::clone(&upload), activity), Some(upload))
}

/// Sends copies of `request` to `mirrors`, once, when the request itself has an endpoint to go to.
fn copy(
    client: &Client,
    request: &Request<RequestBody>,
    upload: Option<&Rc<Upload>>,
    limit: Option<Duration>,
    (scheme, version): (&'static str, Version),
    mirrors: Drawn,
) {
    let Some(target) = request.uri().path_and_query() else { return };
    let original = Original { method: request.method(), target, headers: request.headers(), limit, scheme, version };
    for cluster in mirrors {
        mirror::send(client, &cluster, &original, upload.map(|upload| upload.tap()));
    }
}

/// `None` for a request without time limits.
fn timing(limits: TimeLimits, upload: Option<&Rc<Upload>>, websocket: bool) -> Option<Box<Timing>> {
    let request_end = || match upload {
        _ if websocket => RequestEnd::Never,
        Some(upload) => RequestEnd::Body(Rc::clone(upload)),
        None => RequestEnd::At(Instant::now()),
    };
    (!limits.is_none()).then(|| Timing::new(limits, request_end()))
}

/// `cluster` with its endpoints of this moment: a try may have taken ten seconds, and pods that go, go together. The route
/// and the destination stay those of the request's own snapshot, as in Envoy, whose retries draw from the cluster's
/// current hosts.
fn as_of_now(worker: &Worker, id: ClusterId, cluster: Arc<Cluster>) -> Arc<Cluster> {
    worker.published().load().same_cluster(id, &cluster.name).map_or(cluster, Arc::clone)
}
