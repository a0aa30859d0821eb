//! Random worlds and requests, drawn from a string of bytes: property tests and the fuzzer share them.
//!
//! Names, paths and values come from small sets, so that what is drawn collides, overlaps and shadows.

use gateway::model::{
    destination_rule::{DestinationRule, Subset},
    export::Visibility,
    gateway::{Gateway, Protocol, Server, ServerHost, ServerTls, TlsMode},
    headers::{HeaderOperations, HeaderTemplate},
    host::HostPattern,
    l4_routes::{Scope, StreamDestination, TcpRule, TlsMatch, TlsRule},
    locality::Locality,
    locality_policy::{Distribution, Failover, FailoverLabel, LocalityPolicy, TrafficDistribution},
    object::{Kind, Labels, Meta, ObjectId},
    origination::ClientTls,
    resource::Resource,
    service::{
        EndpointCondition, EndpointSlice, Node, Pod, Service, ServiceKind, ServicePort, SliceEndpoint, SlicePort,
        TargetPort,
    },
    service_entry::{EntryEndpoint, EntryPort, Resolution, ServiceEntry, WorkloadEntry},
    string_match::{FullMatch, StringMatch},
    traffic_policy::{
        Algorithm, ConnectionPool, ConsistentHash, HashKey, HashTable, LoadBalancer, OutlierDetection, PolicyBlocks,
        ProxyProtocol, RetryBudget, TrafficPolicy, Tunnel,
    },
    virtual_service::{
        Action, Destination, DirectResponse, Forward, GatewayName, HeaderField, HeaderMatch, HeaderRules, HttpMatch,
        HttpRule, QueryMatch, Redirect, RedirectPort, VirtualService,
    },
};
use gateway::routing::{
    compiler::{Change, CompileSettings},
    lookup::RequestHead,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use std::{collections::BTreeSet, net::Ipv4Addr, sync::Arc, time::Duration};

const NAMESPACES: &[&str] = &["default", "istio-system", "team"];
const DOMAINS: &[&str] = &["*", "*.com", "*.x.com", "a.x.com", "b.x.com", "c.com", "reviews.default.svc.cluster.local"];
const AUTHORITIES: &[&str] = &[
    "a.x.com",
    "A.X.com:8080",
    "b.x.com",
    "q.x.com",
    "y.q.x.com",
    "x.com",
    "c.com:80",
    "d.org",
    "10.0.0.1",
    "[::1]:80",
    "",
    ".x.com",
];
const PATHS: &[&str] = &[
    "/",
    "/a",
    "/a/",
    "/a/b",
    "/ab",
    "/A/B",
    "/a/b/c/d",
    "/reviews",
    "/reviews/0",
    "/reviewsx",
    "/long/enough/to/span/words",
];
const REGEXES: &[&str] = &[".*", "/a.*", "/[ab]/?", "/reviews/\\d+", "(?i)/A/b", "/a|/ab"];
const VALUES: &[&str] = &["v", "w", "vw", "", "V"];
const HEADERS: &[&str] = &["h", "i"];
const METHODS: &[Method] = &[Method::GET, Method::POST, Method::PUT];

/// A source of choices; when the bytes run out every choice is the first.
#[derive(Debug)]
pub struct Choices<'b>(pub &'b [u8]);

impl Choices<'_> {
    fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    fn below(&mut self, count: usize) -> usize {
        usize::from(self.byte()) % count
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }

    /// True once in `times`.
    fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == times - 1
    }

    fn some<T>(&mut self, times: usize, draw: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.once_in(times).then(|| draw(self))
    }

    fn list<T>(&mut self, most: usize, mut draw: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let count = self.below(most + 1);
        (0..count).map(|_| draw(self)).collect()
    }
}

/// The settings all worlds are compiled with.
pub fn settings() -> CompileSettings {
    CompileSettings { port_map: [(81, 8080)].into(), node: "n1".into(), ..CompileSettings::default() }
}

/// Up to `most` changes, removals among them; later ones replace earlier ones of the same name.
pub fn changes(choices: &mut Choices<'_>, most: usize) -> Vec<Change> {
    // One Gateway and one VirtualService are always there, or most worlds would answer nothing.
    let mut changes = vec![Change::Put(gateway(choices)), Change::Put(virtual_service(choices))];
    changes.extend(choices.list(most, |choices| {
        let resource = match choices.below(16) {
            0 | 1 => gateway(choices),
            2..=7 => virtual_service(choices),
            8 => destination_rule(choices),
            9 | 10 => service(choices),
            11 | 12 => slice(choices),
            13 => pod(choices),
            14 => {
                if choices.once_in(2) {
                    node(choices)
                } else {
                    pod(choices)
                }
            }
            _ => {
                if choices.once_in(4) {
                    workload_entry(choices)
                } else {
                    service_entry(choices)
                }
            }
        };
        if choices.once_in(6) { Change::Remove(resource.meta().id.clone()) } else { Change::Put(resource) }
    }));
    changes
}

/// A request, owned.
#[derive(Debug)]
pub struct Request {
    pub method: Method,
    pub authority: String,
    pub path: String,
    pub query: Option<String>,
    pub headers: HeaderMap,
}

impl Request {
    /// What routing looks at.
    pub fn head(&self) -> RequestHead<'_> {
        RequestHead {
            method: &self.method,
            scheme: "http",
            authority: &self.authority,
            path: &self.path,
            query: self.query.as_deref(),
            headers: &self.headers,
        }
    }
}

/// One request.
pub fn request(choices: &mut Choices<'_>) -> Request {
    let mut headers = HeaderMap::new();
    for _ in 0..choices.below(4) {
        let (name, value) = (choices.pick(HEADERS), choices.pick(VALUES));
        headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    let mut path = choices.pick(PATHS).to_owned();
    if choices.once_in(3) {
        path.push_str(choices.pick(PATHS));
    }
    Request {
        method: choices.pick(METHODS),
        authority: choices.pick(AUTHORITIES).into(),
        path,
        query: choices.some(2, |c| c.pick(&["q=v", "q", "p=w&q=w", "", "q=v&q=w"]).to_owned()),
        headers,
    }
}

fn meta(choices: &mut Choices<'_>, kind: Kind, names: &[&str]) -> Meta {
    let id = ObjectId::new(kind, choices.pick(NAMESPACES), choices.pick(names));
    // A name has one creation time, or an update would look like another object.
    let created = id.name.bytes().chain(id.namespace.bytes()).map(i64::from).sum::<i64>() % 5;
    Meta { id, created, source: None }
}

fn labels(key: &str, value: &str) -> Labels {
    [(key.into(), value.into())].into()
}

fn visibility(choices: &mut Choices<'_>) -> Visibility {
    match choices.below(6) {
        0 => Visibility::Namespaces(BTreeSet::from([choices.pick(NAMESPACES).into()])),
        1 => Visibility::Namespaces(NAMESPACES.iter().map(|&n| n.into()).collect()),
        _ => Visibility::Public,
    }
}

fn gateway(choices: &mut Choices<'_>) -> Resource {
    let meta = meta(choices, Kind::Gateway, &["g1", "g2"]);
    let mut index = 0;
    let mut servers = vec![server(choices, 0)];
    servers.extend(choices.list(2, |choices| {
        index += 1;
        server(choices, index)
    }));
    let selector = choices.pick(&["ingressgateway", "ingressgateway", "ingressgateway", "other"]);
    Resource::Gateway(Gateway { meta, selector: Some(labels("istio", selector)), servers })
}

fn server(choices: &mut Choices<'_>, index: usize) -> Server {
    let protocol = choices.pick(&[
        Protocol::Http,
        Protocol::Http,
        Protocol::Http,
        Protocol::Http2,
        Protocol::Tcp,
        Protocol::Https,
    ]);
    let redirect = choices.once_in(8);
    let tls = (redirect || protocol == Protocol::Https).then_some(ServerTls {
        mode: TlsMode::Passthrough,
        https_redirect: redirect,
        termination: None,
    });
    let mut hosts = vec![server_host(choices)];
    hosts.extend(choices.list(2, server_host));
    Server {
        index,
        port: choices.pick(&[80, 80, 80, 81, 8080]),
        port_name: "http".into(),
        protocol,
        bind: None,
        hosts,
        tls,
    }
}

fn server_host(choices: &mut Choices<'_>) -> ServerHost {
    let host = if choices.once_in(3) { choices.pick(DOMAINS) } else { "*" };
    ServerHost { namespace: choices.some(5, |c| c.pick(NAMESPACES).into()), host: HostPattern::new(host) }
}

fn gateway_name(choices: &mut Choices<'_>) -> GatewayName {
    GatewayName { namespace: choices.pick(NAMESPACES).into(), name: choices.pick(&["g1", "g2"]).into() }
}

fn virtual_service(choices: &mut Choices<'_>) -> Resource {
    let meta = meta(choices, Kind::VirtualService, &["v1", "v2", "v3"]);
    let hosts = BTreeSet::from([choices.pick(DOMAINS), choices.pick(DOMAINS)]);
    let mut gateways: Vec<GatewayName> = NAMESPACES
        .iter()
        .flat_map(|&n| ["g1", "g2"].map(|g| GatewayName { namespace: n.into(), name: g.into() }))
        .collect();
    if choices.once_in(4) {
        gateways = vec![gateway_name(choices)];
    }
    let mut index = 0;
    let mut http = vec![rule(choices, 0)];
    http.extend(choices.list(4, |choices| {
        index += 1;
        rule(choices, index)
    }));
    let visibility = visibility(choices);
    let (mut tcp, mut tls) = (Vec::new(), Vec::new());
    if choices.once_in(3) {
        let matches = choices.list(2, scope);
        tcp.push(TcpRule { index: 0, matches, destinations: choices.list(2, stream_destination) });
    }
    if choices.once_in(3) {
        let server_names = choices.list(2, |choices| HostPattern::new(choices.pick(DOMAINS)));
        let matches = vec![TlsMatch { index: 0, server_names, scope: scope(choices) }];
        tls.push(TlsRule { index: 0, matches, destinations: choices.list(2, stream_destination) });
    }
    Resource::VirtualService(VirtualService {
        meta,
        hosts: hosts.into_iter().map(HostPattern::new).collect(),
        gateways,
        visibility,
        http,
        tls,
        tcp,
    })
}

fn scope(choices: &mut Choices<'_>) -> Scope {
    let gateways = choices.some(3, |choices| vec![gateway_name(choices)]);
    Scope { port: choices.some(3, |c| c.pick(&[80, 81])), gateways }
}

fn stream_destination(choices: &mut Choices<'_>) -> StreamDestination {
    let Destination { host, subset, port, weight, .. } = destination(choices);
    StreamDestination { host, subset, port, weight }
}

fn rule(choices: &mut Choices<'_>, index: usize) -> HttpRule {
    let mut entry = 0;
    let matches = choices.list(3, |choices| {
        entry += 1;
        http_match(choices, entry - 1)
    });
    let action = match choices.below(8) {
        0 => Action::Redirect(Redirect {
            status: StatusCode::FOUND,
            path: None,
            authority: None,
            scheme: None,
            port: RedirectPort::GatewayPort,
        }),
        1 => Action::DirectResponse(DirectResponse { status: StatusCode::OK, body: Default::default() }),
        _ => Action::Forward(Forward {
            destinations: [destination(choices)].into_iter().chain(choices.list(2, destination)).collect(),
            rewrite: None,
            policy: None,
        }),
    };
    HttpRule { index, name: "".into(), matches, action, fault: None, headers: HeaderRules::default(), delegate: None }
}

fn destination(choices: &mut Choices<'_>) -> Destination {
    let host = choices.pick(&[
        "reviews.default.svc.cluster.local",
        "ratings.team.svc.cluster.local",
        "alias.default.svc.cluster.local",
        "api.example.com",
    ]);
    let mut headers = HeaderRules::default();
    if choices.once_in(4) {
        let template = HeaderTemplate::Literal(HeaderValue::from_static("1"));
        headers.request =
            HeaderOperations { set: vec![(HeaderName::from_static("x-d"), template)], ..Default::default() };
    }
    Destination {
        host: HostPattern::new(host),
        subset: choices.some(2, |c| c.pick(&["s1", "s2"]).into()),
        port: choices.some(3, |c| c.pick(&[9080, 9090])),
        weight: choices.pick(&[50, 0, 1, 100]),
        headers,
    }
}

fn http_match(choices: &mut Choices<'_>, index: usize) -> HttpMatch {
    HttpMatch {
        index,
        name: "".into(),
        uri: (!choices.once_in(5)).then(|| uri(choices)),
        ignore_uri_case: choices.once_in(5),
        scheme: choices.some(12, |c| StringMatch::Exact(c.pick(&["http", "https"]).into())),
        method: choices.some(6, |c| StringMatch::Exact(c.pick(METHODS).to_string())),
        authority: choices.some(10, |c| StringMatch::Prefix(c.pick(&["a.", "b.", "A."]).into())),
        headers: choices.list(1, header_match),
        query: choices.some(6, |c| QueryMatch { name: "q".into(), value: c.some(2, value) }).into_iter().collect(),
        port: choices.some(8, |c| c.pick(&[80, 81])),
        gateways: choices.some(10, gateway_name).into_iter().collect(),
        source_labels: choices.some(12, |c| labels("istio", c.pick(&["ingressgateway", "x"]))).unwrap_or_default(),
        source_namespace: choices.some(12, |c| c.pick(NAMESPACES).into()),
    }
}

fn header_match(choices: &mut Choices<'_>) -> HeaderMatch {
    let field = match choices.below(6) {
        0 => HeaderField::Path,
        1 => HeaderField::Method,
        _ => HeaderField::Name(HeaderName::from_static(choices.pick(HEADERS))),
    };
    HeaderMatch { field, value: (!choices.once_in(3)).then(|| value(choices)), invert: choices.once_in(3) }
}

fn uri(choices: &mut Choices<'_>) -> StringMatch {
    match choices.below(5) {
        0 => regex(choices.pick(REGEXES)),
        1 | 2 => StringMatch::Exact(choices.pick(PATHS).into()),
        _ => StringMatch::Prefix(choices.pick(PATHS).into()),
    }
}

fn value(choices: &mut Choices<'_>) -> StringMatch {
    match choices.below(3) {
        0 => regex(choices.pick(&["v|w", ".*", "v+"])),
        1 => StringMatch::Exact(choices.pick(VALUES).into()),
        _ => StringMatch::Prefix("v".into()),
    }
}

fn regex(pattern: &str) -> StringMatch {
    let anchored = format!("^(?:{pattern})$");
    match regex::bytes::Regex::new(&anchored) {
        Ok(compiled) => StringMatch::Regex(FullMatch { pattern: pattern.into(), compiled }),
        Err(_) => StringMatch::Exact(pattern.into()),
    }
}

fn destination_rule(choices: &mut Choices<'_>) -> Resource {
    let meta = meta(choices, Kind::DestinationRule, &["d1", "d2"]);
    let host =
        choices.pick(&["reviews.default.svc.cluster.local", "ratings.team.svc.cluster.local", "*.cluster.local", "*"]);
    let subset = |name: &str, version: &str, traffic_policy| Subset {
        name: name.into(),
        labels: labels("version", version),
        traffic_policy,
    };
    let visibility = visibility(choices);
    Resource::DestinationRule(DestinationRule {
        meta,
        host: HostPattern::new(host),
        exported_to: match &visibility {
            Visibility::Public => BTreeSet::new(),
            Visibility::Namespaces(namespaces) => namespaces.clone(),
        },
        visibility,
        traffic_policy: choices.some(2, traffic_policy).map(Box::new),
        subsets: choices.list(2, |c| {
            let (name, version) = (c.pick(&["s1", "s2"]), c.pick(&["1", "2"]));
            subset(name, version, c.some(3, traffic_policy).map(Box::new))
        }),
        workload_selector: choices.some(8, |c| labels("istio", c.pick(&["ingressgateway", "x"]))),
    })
}

fn traffic_policy(choices: &mut Choices<'_>) -> TrafficPolicy {
    TrafficPolicy {
        blocks: policy_blocks(choices),
        ports: if choices.once_in(3) { vec![(9080, policy_blocks(choices))] } else { Vec::new() },
        tunnel: choices.some(5, |_| Arc::new(Tunnel { target: "far.test:443".to_owned() })),
    }
}

fn policy_blocks(choices: &mut Choices<'_>) -> PolicyBlocks {
    let key = Some(HashKey::Query("q".into()));
    let ring = ConsistentHash { key, table: HashTable::Ring { minimum_size: 16 } };
    let algorithms =
        [Algorithm::LeastRequest, Algorithm::RoundRobin, Algorithm::Random, Algorithm::ConsistentHash(ring)];
    let algorithm =
        if choices.once_in(2) { usize::from(choices.once_in(2)) } else { 2 + usize::from(choices.once_in(2)) };
    let pool = ConnectionPool { max_connections: choices.some(2, |_| 7), ..ConnectionPool::default() };
    PolicyBlocks {
        load_balancer: choices.some(2, |choices| LoadBalancer {
            algorithm: algorithms[algorithm].clone(),
            warmup: None,
            locality: choices.some(2, locality_policy),
        }),
        connection_pool: choices.some(3, |_| pool),
        outlier_detection: choices.some(3, |_| outlier_detection()),
        tls: choices.some(6, |_| ClientTls::NotServed),
        retry_budget: choices.some(6, |_| RetryBudget { percent: 20.0, min_concurrency: 3, interval: None }),
        proxy_protocol: choices.some(6, |_| ProxyProtocol::V2),
    }
}

fn service(choices: &mut Choices<'_>) -> Resource {
    let meta = meta(choices, Kind::Service, &["reviews", "ratings", "alias", "gw"]);
    let fronts = &*meta.id.name == "gw";
    let target = |number| ServicePort {
        number,
        name: format!("p{number}").into(),
        target: TargetPort::Number(8080),
        protocol_hint: "".into(),
    };
    let mut ports = vec![target(if fronts { 80 } else { 9080 })];
    if choices.once_in(3) {
        ports.push(target(9090));
    }
    let kind = if &*meta.id.name == "alias" {
        ServiceKind::ExternalName("reviews.default.svc.cluster.local".into())
    } else {
        ServiceKind::Endpoints
    };
    let selector = if fronts { labels("istio", "ingressgateway") } else { labels("app", &meta.id.name) };
    Resource::Service(Service {
        labels: Labels::new(),
        meta,
        kind,
        ports,
        selector,
        visibility: visibility(choices),
        distribution: choices.pick(&[
            TrafficDistribution::Any,
            TrafficDistribution::Any,
            TrafficDistribution::SameZone,
            TrafficDistribution::SameNode,
        ]),
        node_local: choices.once_in(6),
        is_headless: choices.once_in(6),
        node_ports: Vec::new(),
        port_translation_disabled: false,
    })
}

fn slice(choices: &mut Choices<'_>) -> Resource {
    let mut meta = meta(choices, Kind::EndpointSlice, &["reviews", "ratings"]);
    let service = std::sync::Arc::clone(&meta.id.name);
    meta.id.name = format!("{service}-{}", choices.below(2)).into();
    let namespace = std::sync::Arc::clone(&meta.id.namespace);
    let endpoints = choices.list(3, |choices| {
        let host = u8::try_from(choices.below(4)).unwrap_or(0);
        SliceEndpoint {
            addresses: vec![Ipv4Addr::new(10, 0, 0, host).into()],
            condition: choices.pick(&[
                EndpointCondition::Ready,
                EndpointCondition::Ready,
                EndpointCondition::ServingTerminating,
                EndpointCondition::NotReady,
                EndpointCondition::Terminating,
            ]),
            node: Some(choices.pick(&["n1", "n2"]).into()),
            zone: None,
            pod: Some(ObjectId::new(Kind::Pod, &namespace, &format!("p{host}"))),
        }
    });
    Resource::EndpointSlice(EndpointSlice {
        meta,
        service,
        ports: vec![SlicePort { name: "p9080".into(), number: 8080 }],
        endpoints,
    })
}

fn pod(choices: &mut Choices<'_>) -> Resource {
    let meta = meta(choices, Kind::Pod, &["p0", "p1", "p2", "p3"]);
    Resource::Pod(Pod { meta, labels: labels("version", choices.pick(&["1", "2"])), address: None })
}

fn service_entry(choices: &mut Choices<'_>) -> Resource {
    let meta = meta(choices, Kind::ServiceEntry, &["e1", "e2"]);
    let hosts = vec![HostPattern::new(choices.pick(&["api.example.com", "reviews.default.svc.cluster.local"]))];
    Resource::ServiceEntry(ServiceEntry {
        meta,
        hosts,
        visibility: visibility(choices),
        ports: vec![EntryPort {
            number: 9080,
            name: "http".into(),
            target: TargetPort::Number(9080),
            protocol_hint: "http".into(),
        }],
        resolution: choices.pick(&[Resolution::Static, Resolution::DynamicDns, Resolution::None, Resolution::Dns]),
        endpoints: choices.list(2, entry_endpoint),
        workload_selector: choices.some(3, |c| labels("version", c.pick(&["1", "2"]))),
        alternative_names: Vec::new(),
        distribution: TrafficDistribution::Any,
    })
}

fn entry_endpoint(choices: &mut Choices<'_>) -> EntryEndpoint {
    EntryEndpoint {
        index: 0,
        address: Some(Ipv4Addr::new(10, 1, 0, u8::try_from(choices.below(4)).unwrap_or(0)).into()),
        name: None,
        ports: Vec::new(),
        labels: labels("version", choices.pick(&["1", "2"])),
        weight: 0,
        locality: Locality::parse(choices.pick(&["", "r/a", "r/b/s", "q"])),
    }
}

fn workload_entry(choices: &mut Choices<'_>) -> Resource {
    let meta = meta(choices, Kind::WorkloadEntry, &["w1", "w2"]);
    Resource::WorkloadEntry(WorkloadEntry { meta, endpoint: entry_endpoint(choices) })
}

fn node(choices: &mut Choices<'_>) -> Resource {
    let mut meta = meta(choices, Kind::Node, &["n1", "n2"]);
    meta.id.namespace = "".into();
    Resource::Node(Node { meta, locality: Locality::parse(choices.pick(&["r/a", "r/b", "q/a"])) })
}

fn locality_policy(choices: &mut Choices<'_>) -> LocalityPolicy {
    let failover = |choices: &mut Choices<'_>| Failover {
        labels: choices.list(2, |choices| FailoverLabel {
            name: choices.pick(&["version", "topology.kubernetes.io/zone"]).into(),
            value: choices.some(2, |_| "1".into()),
        }),
        regions: choices.list(1, |_| ("r".into(), "q".into())),
        is_forced: false,
    };
    match choices.below(4) {
        0 => LocalityPolicy::Off,
        1 => LocalityPolicy::Failover(failover(choices)),
        2 => LocalityPolicy::Regions(failover(choices)),
        _ => LocalityPolicy::Distribute(vec![Distribution {
            from: Locality::parse("*"),
            to: vec![(Locality::parse("r/*"), 70), (Locality::parse("q"), 30)],
        }]),
    }
}

fn outlier_detection() -> OutlierDetection {
    OutlierDetection {
        consecutive_5xx: 5,
        consecutive_gateway: 0,
        consecutive_local_origin: None,
        interval: Duration::from_secs(10),
        base_ejection_time: Duration::from_secs(30),
        // What is drawn must not depend on what was asked before.
        max_ejection_percent: 0,
        min_health_percent: 0,
    }
}
