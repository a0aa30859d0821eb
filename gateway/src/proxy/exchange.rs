//! One request and its answer.
//!
//! The snapshot is loaded once; everything the answer depends on comes from that generation.

use super::{
    activity::{Order, Phase},
    arrival::{self, Arrived},
    body::ResponseBody,
    client::Client,
    faults::{self, Faults},
    fields::ResponseFields,
    forward::{self, Plan},
    local_reply::LocalReply,
    outcome::Outcome,
    record::Record,
};
use crate::{
    message::{
        cors::{self, Verdict},
        redirect,
    },
    model::virtual_service::DirectResponse,
    routing::{
        lookup::{Found, RequestHead},
        route::{ForwardAction, Route, RouteAction},
        snapshot::Snapshot,
    },
    telemetry::requests::RequestProtocol,
};
use http::{
    HeaderValue, Request, Response, StatusCode,
    header::{CONNECTION, CONTENT_TYPE, LOCATION},
};
use hyper::body::Incoming;
use std::{
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::time::sleep;

/// What the snapshot says about a request.
enum Decision {
    Reply(LocalReply, Option<Box<ResponseFields>>),
    Forward(Box<Plan>),
}

/// A decision, and how long it waits to be carried out.
struct Decided {
    delay: Option<Duration>,
    decision: Decision,
}

impl From<Decision> for Decided {
    fn from(decision: Decision) -> Self {
        Self { delay: None, decision }
    }
}

/// Answers `request`, whatever it is.
pub(super) async fn answer(client: Rc<Client>, request: Request<Incoming>) -> Response<ResponseBody> {
    let started = Instant::now();
    client.worker.clock().advance_to(started);
    client.activity.enter(Phase::Exchange);

    let protocol = if is_grpc(&request) { RequestProtocol::Grpc } else { RequestProtocol::Http };
    let facts = client.worker.telemetry().wants_facts().then(|| Box::new(arrival::facts(&client, &request)));
    let mut record = Record::new(Rc::clone(&client.worker), Rc::clone(&client.activity), started, protocol, facts);

    let method = request.method().clone();
    let Decided { delay, decision } = if client.worker.pressure().refuses_requests() {
        Decision::Reply(LocalReply::no_memory(), None).into()
    } else {
        match arrival::receive(&client, request) {
            Ok(arrived) => decide(&client, arrived, &mut record),
            Err(refusal) => Decision::Reply(*refusal, None).into(),
        }
    };
    if let Some(delay) = delay {
        record.past().delayed = true;
        // Boxed, as below.
        Box::pin(sleep(delay)).await;
    }
    let mut response = match decision {
        // Boxed: hyper moves the future of every answer to its place, and keeps that place for as long as the connection
        // lives, at rest too.
        Decision::Forward(plan) => Box::pin(forward::forward(&client, plan, record)).await,
        Decision::Reply(reply, fields) => reply.into_response(&method, &mut record, |status, headers| {
            if let Some(fields) = fields {
                fields.apply(status, headers);
            }
        }),
    };
    match client.activity.connection() {
        None if client.worker.is_leaving() && response.status() != StatusCode::SWITCHING_PROTOCOLS => {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        None => {}
        // HTTP/2 has no such field; a connection ends when its streams have.
        Some(connection) => {
            response.headers_mut().remove(CONNECTION);
            if client.worker.is_leaving() {
                connection.give_order(Order::Close);
            }
        }
    }
    response
}

/// Whether the type is `application/grpc` or `application/grpc+proto`, but not `application/grpc-web` (`hasGrpcContentType` in envoy's
/// source/common/grpc/common.cc).
pub(super) fn is_grpc(request: &Request<Incoming>) -> bool {
    let content_type = request.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    content_type.strip_prefix(b"application/grpc").is_some_and(|rest| matches!(rest.first(), None | Some(b'+')))
}

fn decide(client: &Client, arrived: Arrived, record: &mut Record) -> Decided {
    let snapshot = client.worker.published().load();
    let Some(listener) = client.table(&snapshot) else {
        // The listener has gone; so will this connection, after this answer.
        let reply = LocalReply::new(StatusCode::NOT_FOUND, Outcome::NO_ROUTE)
            .with_header(CONNECTION, HeaderValue::from_static("close"));
        return Decision::Reply(reply, None).into();
    };
    if let Some(facts) = record.facts() {
        facts.forwarded(&arrived.headers, arrived.remote);
    }
    let head = arrived.head();
    match snapshot.lookup(listener, &head) {
        Found::NoVirtualHost | Found::NoRoute { .. } => {
            Decision::Reply(LocalReply::new(StatusCode::NOT_FOUND, Outcome::NO_ROUTE), None).into()
        }
        Found::RequireTls { .. } => {
            Decision::Reply(moved(StatusCode::MOVED_PERMANENTLY, redirect::https_location(&head)), None).into()
        }
        Found::Route { route, .. } => {
            if let Some(facts) = record.facts() {
                facts.route_name = Arc::clone(&route.origin.name);
            }
            follow(client, &snapshot, route, arrived, record.protocol())
        }
    }
}

fn follow(
    client: &Client,
    snapshot: &Snapshot,
    route: &Arc<Route>,
    arrived: Arrived,
    protocol: RequestProtocol,
) -> Decided {
    let reply = match &route.action {
        RouteAction::Forward(action) => match &action.policy {
            None => {
                let plan = Plan::draw(client, snapshot, route, action, arrived, None, protocol);
                return Decision::Forward(Box::new(plan)).into();
            }
            Some(policy) => {
                let faults = Faults::draw(policy.fault.as_ref(), || fastrand::u64(..));
                let decision = match faults.abort {
                    None => forward(client, snapshot, route, action, arrived, protocol),
                    Some(status) => {
                        let fields = forward::fields_of_drawn(client, snapshot, route, action, &arrived);
                        Decision::Reply(faults::aborted(status), fields.map(Box::new))
                    }
                };
                return Decided { delay: faults.delay, decision };
            }
        },
        RouteAction::Redirect(redirect) => moved(redirect.status, redirect::location(redirect, route, &arrived.head())),
        RouteAction::DirectResponse(direct) => direct_response(direct, &arrived.head()),
    };
    let Faults { delay, abort } = Faults::draw(route.fault.as_deref(), || fastrand::u64(..));
    let decision = match abort {
        None => Decision::Reply(reply, ResponseFields::of_route(client, route, &arrived).map(Box::new)),
        // The route's header operations are the router's, which an aborted request does not come to.
        Some(status) => Decision::Reply(faults::aborted(status), None),
    };
    Decided { delay, decision }
}

/// Forwards, unless the route's CORS policy has the answer.
fn forward(
    client: &Client,
    snapshot: &Snapshot,
    route: &Arc<Route>,
    action: &ForwardAction,
    arrived: Arrived,
    protocol: RequestProtocol,
) -> Decision {
    let cors = action.policy.as_ref().and_then(|policy| policy.cors.as_ref());
    let verdict = cors.map_or(Verdict::Pass, |cors| cors::judge(cors, &arrived.method, &arrived.headers));
    let origin = match verdict {
        Verdict::Answer(headers) => {
            // Not through the router: the route's own header operations do not see it.
            return Decision::Reply(LocalReply { headers, ..LocalReply::new(StatusCode::OK, Outcome::CORS) }, None);
        }
        Verdict::Name(origin) => Some(origin),
        Verdict::Pass => None,
    };
    Decision::Forward(Box::new(Plan::draw(client, snapshot, route, action, arrived, origin, protocol)))
}

fn moved(status: StatusCode, location: String) -> LocalReply {
    let reply = LocalReply::new(status, Outcome::DIRECT_RESPONSE);
    match HeaderValue::try_from(location) {
        Ok(location) => reply.with_header(LOCATION, location),
        Err(_) => LocalReply::new(StatusCode::INTERNAL_SERVER_ERROR, Outcome::DIRECT_RESPONSE),
    }
}

/// Envoy gives a direct response of 201 and 3xx the request's own URL as `location` (`DirectResponseEntry::newUri` with
/// nothing to rewrite).
fn direct_response(direct: &DirectResponse, head: &RequestHead<'_>) -> LocalReply {
    let mut reply = LocalReply::new(direct.status, Outcome::DIRECT_RESPONSE);
    reply.body = direct.body.clone();
    if direct.status == StatusCode::CREATED || direct.status.is_redirection() {
        let query = head.query.map(|query| format!("?{query}")).unwrap_or_default();
        let location = format!("{}://{}{}{query}", head.scheme, head.authority, head.path);
        if let Ok(location) = HeaderValue::try_from(location) {
            reply.headers.insert(LOCATION, location);
        }
    }
    reply
}
