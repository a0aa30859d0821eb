//! What the gateway does with a request, as data: the data plane's own lookup with a trace, and the edits it would make.
//!
//! The fields are the JSON contract of `gateway explain`: add to them freely, rename none.

mod cluster_policy;
mod facts;
pub mod listing;
mod policy_facts;
mod streams;
mod trace;

use crate::model::traffic_policy::HashKey;
use crate::{
    message::{path, redirect},
    routing::{
        chains::Chain,
        lookup::{Found, RequestHead},
        route::{Route, RouteAction},
        route_policy,
        snapshot::{Listener, Snapshot},
        streams::Stream,
    },
};
use cluster_policy::ClusterPolicy;
use facts::{DestinationFacts, RouteFacts, UpstreamFacts};
use http::{HeaderMap, Method};
use policy_facts::{CorsFacts, FaultFacts, MirrorFacts};
use serde::Serialize;
use std::{collections::BTreeMap, net::IpAddr};
use trace::{Step, Steps};

/// The question.
#[derive(Clone, Debug)]
pub struct Question {
    pub method: Method,
    /// Host header, port included if there is one.
    pub authority: String,
    /// As sent, before normalisation, without the query.
    pub path: String,
    pub query: Option<String>,
    pub headers: HeaderMap,
    /// The client's address, for header values that name it.
    pub source: Option<IpAddr>,
    /// The Gateway server's port.
    pub port: u16,
    /// How the client would begin; `None` for plaintext.
    pub tls: Option<Hello>,
    /// How many times to draw a destination, and from which seed.
    pub samples: u64,
    pub seed: u64,
}

/// What a client says in its TLS handshake.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hello {
    pub server_name: Option<String>,
}

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Forward,
    Redirect,
    DirectResponse,
    /// The connection is passed on, whatever is spoken in it.
    TcpForward,
    None,
}

/// Why a request does not reach a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    NoListener,
    /// The port is open, and no server is for such a connection.
    NoFilterChain,
    NoVirtualHost,
    NoRoute,
    NoCluster,
    NoEndpoints,
    /// The endpoints are to be spoken to in TLS, which is not served.
    NoTls,
    TlsRedirect,
    ProtocolError,
}

/// The answer.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    pub request: RequestFacts,
    pub listener: Option<ListenerFacts>,
    pub virtual_host: Option<String>,
    pub route: Option<RouteFacts>,
    pub outcome: Outcome,
    pub error: Option<Failure>,
    /// As Envoy's access log would show them; empty when all is well.
    pub response_flags: String,
    pub clusters: Vec<DestinationFacts>,
    pub status: Option<u16>,
    pub location: Option<String>,
    pub body: Option<String>,
    pub upstream: Option<UpstreamFacts>,
    pub response_headers: facts::Edits,
    /// 0: no limit.
    pub timeout_ms: u64,
    pub retries: Option<facts::Retries>,
    pub fault: Option<FaultFacts>,
    pub mirrors: Vec<MirrorFacts>,
    pub cors: Option<CorsFacts>,
    /// What of a request is hashed: `header x-user`.
    pub hash_policy: Option<String>,
    pub cluster_policy: BTreeMap<String, ClusterPolicy>,
    /// How often each cluster was drawn.
    pub samples: BTreeMap<String, u64>,
    pub trace: Vec<Step>,
}

#[derive(Clone, Debug, Serialize)]
pub struct RequestFacts {
    pub method: String,
    pub authority: String,
    /// After normalisation.
    pub path: String,
    pub query: Option<String>,
    pub port: u16,
}

#[derive(Clone, Debug, Serialize)]
pub struct ListenerFacts {
    pub port: u16,
    pub target_port: u16,
    pub protocol: &'static str,
    pub gateways: Vec<String>,
}

/// Answers `question` from `snapshot`.
pub fn explain(snapshot: &Snapshot, question: &Question) -> Explanation {
    let mut answer = Explanation::of(question);
    let listener = match find(snapshot, question) {
        Ok(Place::Table(listener)) => listener,
        Ok(Place::Stream(stream)) => return answer.pass_on(snapshot, stream, question),
        Err(failure) => {
            let flags = if failure == Failure::NoFilterChain { "NR" } else { "" };
            return answer.failed(failure, None, flags);
        }
    };
    answer.listener = Some(ListenerFacts {
        port: question.port,
        target_port: listener.key.port,
        protocol: listener.protocol.name(),
        gateways: listener.gateways.iter().map(|id| format!("{}/{}", id.namespace, id.name)).collect(),
    });
    let normalised = match path::normalise(&question.path) {
        Ok(path) => path,
        Err(_) => return answer.failed(Failure::ProtocolError, Some(400), "DPE"),
    };
    answer.request.path = normalised.to_string();
    let request = RequestHead {
        method: &question.method,
        scheme: if question.tls.is_some() { "https" } else { "http" },
        authority: &question.authority,
        path: &normalised,
        query: question.query.as_deref(),
        headers: &question.headers,
    };
    let mut steps = Steps::default();
    let found = snapshot.lookup_traced(listener, &request, &mut steps);
    answer.trace = steps.0;
    match found {
        Found::NoVirtualHost => answer.failed(Failure::NoVirtualHost, Some(404), "NR"),
        Found::RequireTls { host } => {
            answer.virtual_host = Some(host.name.to_string());
            answer.location = Some(redirect::https_location(&request));
            answer.outcome = Outcome::Redirect;
            answer.error = Some(Failure::TlsRedirect);
            answer.status = Some(301);
            answer
        }
        Found::NoRoute { host } => {
            answer.virtual_host = Some(host.name.to_string());
            answer.failed(Failure::NoRoute, Some(404), "NR")
        }
        Found::Route { host, route } => {
            answer.virtual_host = Some(host.name.to_string());
            answer.act(snapshot, route, &request, question)
        }
    }
}

/// Where a connection comes to.
enum Place<'s> {
    Table(&'s Listener),
    Stream(&'s Stream),
}

/// What the port of a Gateway's server leads to; failing that, what is bound to that port.
fn find<'s>(snapshot: &'s Snapshot, question: &Question) -> Result<Place<'s>, Failure> {
    let port = question.port;
    let tables = || snapshot.listeners().iter().filter(|l| l.tls.is_some() == question.tls.is_some());
    let streams = || snapshot.streams().iter();
    let key = tables().find(|l| l.server_ports.contains(&port)).map(|l| l.key);
    let key = key.or_else(|| streams().find(|s| s.server_port == port).map(|s| s.key));
    let key = key.or_else(|| tables().find(|l| l.key.port == port).map(|l| l.key));
    let key = key.or_else(|| streams().find(|s| s.key.port == port).map(|s| s.key)).ok_or(Failure::NoListener)?;
    let place = match &question.tls {
        None => {
            let table = snapshot.listener(key).map(Place::Table);
            table.or_else(|| snapshot.passed_on(key).map(|stream| Place::Stream(stream)))
        }
        Some(hello) => {
            let name = hello.server_name.as_ref().map(|name| name.to_ascii_lowercase());
            snapshot.chain(key, name.as_deref()).map(|chain| match chain {
                Chain::Http(listener, _) => Place::Table(listener),
                Chain::Stream(stream) => Place::Stream(stream),
            })
        }
    };
    place.ok_or(Failure::NoFilterChain)
}

impl Explanation {
    fn of(question: &Question) -> Self {
        Self {
            request: RequestFacts {
                method: question.method.to_string(),
                authority: question.authority.clone(),
                path: question.path.clone(),
                query: question.query.clone(),
                port: question.port,
            },
            listener: None,
            virtual_host: None,
            route: None,
            outcome: Outcome::None,
            error: None,
            response_flags: String::new(),
            clusters: Vec::new(),
            status: None,
            location: None,
            body: None,
            upstream: None,
            response_headers: facts::Edits::default(),
            timeout_ms: 0,
            retries: None,
            fault: None,
            mirrors: Vec::new(),
            cors: None,
            hash_policy: None,
            cluster_policy: BTreeMap::new(),
            samples: BTreeMap::new(),
            trace: Vec::new(),
        }
    }

    fn failed(mut self, failure: Failure, status: Option<u16>, flags: &str) -> Self {
        self.error = Some(failure);
        self.status = status;
        flags.clone_into(&mut self.response_flags);
        self
    }

    fn act(mut self, snapshot: &Snapshot, route: &Route, request: &RequestHead<'_>, question: &Question) -> Self {
        self.route = Some(RouteFacts::of(route));
        self.response_headers = facts::Edits::of(&route.response_headers);
        self.fault = route.fault.as_deref().map(FaultFacts::of);
        match &route.action {
            RouteAction::Redirect(redirect) => {
                self.outcome = Outcome::Redirect;
                self.status = Some(redirect.status.as_u16());
                self.location = Some(crate::message::redirect::location(redirect, route, request));
            }
            RouteAction::DirectResponse(response) => {
                self.outcome = Outcome::DirectResponse;
                self.status = Some(response.status.as_u16());
                self.body = Some(String::from_utf8_lossy(&response.body).into_owned());
            }
            RouteAction::Forward(forward) => {
                self.outcome = Outcome::Forward;
                self.clusters = forward.destinations.iter().map(|d| DestinationFacts::of(d, snapshot)).collect();
                let used = || forward.destinations.iter().map(|d| snapshot.cluster(d.cluster));
                self.cluster_policy =
                    used().map(|cluster| (cluster.label.to_string(), ClusterPolicy::of(cluster))).collect();
                self.hash_policy = used().find_map(|cluster| cluster.hash_key.as_ref()).map(hash_key_text);
                let policy = forward.policy.as_deref();
                let timeout = policy.and_then(|policy| policy.timeout);
                self.timeout_ms = timeout.map_or(0, facts::milliseconds);
                self.fault = policy.and_then(|policy| policy.fault.as_ref()).map(FaultFacts::of);
                self.cors = policy.and_then(|policy| policy.cors.as_ref()).map(CorsFacts::of);
                let mirrors = policy.into_iter().flat_map(|policy| &policy.mirrors);
                self.mirrors = mirrors.map(|mirror| MirrorFacts::of(mirror, snapshot)).collect();
                self.retries = Some(facts::Retries::of(route_policy::retries(policy)));
                self.upstream = Some(UpstreamFacts::of(forward, route, request, question.source));
                self.samples = {
                    let clusters: Vec<_> = forward.destinations.iter().map(|d| d.cluster).collect();
                    facts::samples(&forward.draw, &clusters, snapshot, question.samples, question.seed)
                };
                // Some of several destinations may be broken; the request fails for sure only if all are.
                if self.clusters.iter().all(|cluster| cluster.unknown.is_some()) {
                    return self.failed(Failure::NoCluster, Some(503), "NC");
                }
                if self.clusters.iter().all(|cluster| cluster.endpoints.is_empty() && !cluster.by_request) {
                    self.body = Some("no healthy upstream".to_owned());
                    return self.failed(Failure::NoEndpoints, Some(503), "UH");
                }
                if self.cluster_policy.values().all(|policy| policy.tls == Some(cluster_policy::TLS_NOT_SERVED)) {
                    return self.failed(Failure::NoTls, Some(503), "UF");
                }
            }
        }
        self
    }
}

fn hash_key_text(key: &HashKey) -> String {
    match key {
        HashKey::Header(name) => format!("header {name}"),
        HashKey::Cookie(cookie) => format!("cookie {}", cookie.name),
        HashKey::SourceIp => "source address".to_owned(),
        HashKey::Query(name) => format!("query parameter {name}"),
    }
}
/// Whether a route is of the section that all routes were of before there were others.
fn is_http(section: &impl AsRef<str>) -> bool {
    section.as_ref() == "http"
}
