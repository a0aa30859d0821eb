//! Traffic policies of DestinationRules: balancing, hashing, limits, ejection.

use crate::gateway::{Gateway, routes, service};
use gateway::{
    ingest::{IngestContext, ingest, manifest},
    routing::compiler::{CompileSettings, compile},
};
use harness::http::{
    backend::{Backend, Then},
    client::{Client, get},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

const RULE: &str = "  - route: [{destination: {host: s}}]";
const LIMIT: Duration = Duration::from_secs(10);

/// One service on `addresses` with `policy` for its traffic policy.
fn objects(addresses: &[SocketAddr], policy: &str) -> String {
    format!(
        "{}{}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: s}}
spec:
  host: s
  trafficPolicy: {policy}
",
        routes(RULE),
        service("s", addresses)
    )
}

/// Backends that answer with their number.
fn backends() -> Vec<Backend> {
    vec![Backend::saying("0"), Backend::saying("1"), Backend::saying("2")]
}

fn addresses(backends: &[Backend]) -> Vec<SocketAddr> {
    backends.iter().map(Backend::address).collect()
}

fn ask(client: &mut Client, head: &str) -> String {
    let response = client.exchange(format!("GET / HTTP/1.1\r\nhost: a\r\n{head}\r\n"));
    assert_eq!(response.status(), 200);
    response.text().to_owned()
}

#[test]
fn a_round_robin_asks_everybody_in_turn() {
    let backends = backends();
    let gateway = Gateway::start(&objects(&addresses(&backends), "{loadBalancer: {simple: ROUND_ROBIN}}"));
    let mut client = gateway.connect();
    let mut counts = BTreeMap::new();
    for _ in 0..30 {
        *counts.entry(ask(&mut client, "")).or_insert(0) += 1;
    }
    assert!(counts.values().all(|count| *count == 10), "{counts:?}");
}

#[test]
fn a_key_stays_with_its_endpoint_and_keys_are_spread() {
    let backends = backends();
    for table in ["", ", ringHash: {minimumRingSize: 64}", ", maglev: {tableSize: 1009}"] {
        let policy = format!("{{loadBalancer: {{consistentHash: {{httpHeaderName: x-user{table}}}}}}}");
        let gateway = Gateway::start(&objects(&addresses(&backends), &policy));
        let mut seen = BTreeSet::new();
        for user in 0..40 {
            let head = format!("x-user: {user}\r\n");
            let first = ask(&mut gateway.connect(), &head);
            for _ in 0..3 {
                assert_eq!(ask(&mut gateway.connect(), &head), first, "user {user} {table}");
            }
            seen.insert(first);
        }
        assert_eq!(seen.len(), 3, "{table}");
    }
}

#[test]
fn a_client_without_the_cookie_is_given_one_and_stays() {
    let backends = backends();
    let policy = "{loadBalancer: {consistentHash: {httpCookie: {name: session, ttl: 60s, path: /p}}}}";
    let gateway = Gateway::start(&objects(&addresses(&backends), policy));
    for _ in 0..10 {
        let response = gateway.connect().exchange(get("a", "/"));
        let place = response.text().to_owned();
        let cookie = response.field("set-cookie").expect("a cookie");
        let (name, rest) = cookie.split_once('=').expect("name and value");
        let (value, attributes) = rest.split_once(';').expect("attributes");
        assert_eq!((name, attributes), ("session", " Max-Age=60; Path=/p; HttpOnly"));
        let head = format!("cookie: session={value}\r\n");
        let again = gateway.connect().exchange(format!("GET / HTTP/1.1\r\nhost: a\r\n{head}\r\n"));
        assert_eq!((again.text(), again.field("set-cookie")), (&*place, None));
    }
}

#[test]
fn the_source_and_a_query_parameter_are_hashed() {
    let backends = backends();
    let by_source = "{loadBalancer: {consistentHash: {useSourceIp: true}}}";
    let gateway = Gateway::start(&objects(&addresses(&backends), by_source));
    let seen: BTreeSet<String> = (0..20).map(|_| ask(&mut gateway.connect(), "")).collect();
    assert_eq!(seen.len(), 1);
    let by_query = "{loadBalancer: {consistentHash: {httpQueryParameterName: q}}}";
    let gateway = Gateway::start(&objects(&addresses(&backends), by_query));
    let place = |query: &str| gateway.connect().exchange(get("a", query)).text().to_owned();
    for key in 0..10 {
        assert_eq!(place(&format!("/?q={key}")), place(&format!("/other?a=b&q={key}&q=last")));
    }
}

#[test]
fn passthrough_has_nowhere_to_go() {
    let backends = backends();
    let gateway = Gateway::start(&objects(&addresses(&backends), "{loadBalancer: {simple: PASSTHROUGH}}"));
    let response = gateway.connect().exchange(get("a", "/"));
    assert_eq!((response.status(), response.text()), (503, "no healthy upstream"));
}

/// A backend that counts what it answers at once, and answers slowly enough for others to come in between.
struct Busy {
    backend: Backend,
    most: Arc<AtomicUsize>,
}

fn busy() -> Busy {
    let most = Arc::new(AtomicUsize::new(0));
    let (now, seen) = (AtomicUsize::new(0), Arc::clone(&most));
    let backend = Backend::start(move |exchange| {
        seen.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        (0..100).for_each(|_| thread::yield_now());
        now.fetch_sub(1, Ordering::SeqCst);
        exchange.respond("200 OK", &[], b"")
    });
    Busy { backend, most }
}

/// `clients` connections that each send their requests at the same time, `rounds` times. Returns how many were answered with
/// 200; all others must have been refused as overflow.
fn storm(gateway: &Gateway, clients: usize, rounds: usize) -> usize {
    let mut connections: Vec<Client> = (0..clients).map(|_| gateway.connect()).collect();
    let mut served = 0;
    for _ in 0..rounds {
        connections.iter_mut().for_each(|client| client.send(get("a", "/")));
        for client in &mut connections {
            let response = client.response();
            if response.status() == 200 {
                served += 1;
                continue;
            }
            let text = "upstream connect error or disconnect/reset before headers. reset reason: overflow";
            assert_eq!((response.status(), response.text()), (503, text));
            assert_eq!(response.field("x-envoy-overloaded"), Some("true"));
        }
    }
    served
}

#[test]
fn more_requests_than_allowed_never_reach_the_endpoint_at_once() {
    let busy = busy();
    let policy = "{connectionPool: {http: {http2MaxRequests: 3}}}";
    let gateway = Gateway::with(&objects(&[busy.backend.address()], policy), |settings| settings.workers = 2);
    let served = storm(&gateway, 250, 8);
    assert!(served >= 8, "{served} of 2000 were served");
    assert!(busy.most.load(Ordering::SeqCst) <= 3, "{} at once", busy.most.load(Ordering::SeqCst));
    assert_eq!(gateway.connect().exchange(get("a", "/")).status(), 200, "all that was taken was given back");
    let refused = gateway.metric("gateway_limit_overflow_total", &["limit=\"requests\""]);
    assert!(
        (refused - (2000.0 - f64::from(u32::try_from(served).expect("few")))).abs() < 0.5,
        "{refused} and {served}"
    );
}

#[test]
fn requests_wait_for_one_of_the_connections_there_may_be() {
    let busy = busy();
    let other = Backend::saying("");
    let policy = "{connectionPool: {tcp: {maxConnections: 2}}}";
    // Two workers and two endpoints: connections at rest are where they are not needed.
    let yaml = objects(&[busy.backend.address(), other.address()], policy);
    let gateway = Gateway::with(&yaml, |settings| settings.workers = 2);
    assert_eq!(storm(&gateway, 250, 8), 2000, "nobody is refused, however long the line");
    assert!(busy.most.load(Ordering::SeqCst) <= 2);
}

#[test]
fn a_line_that_is_too_long_is_refused() {
    let (go_on, wait) = std::sync::mpsc::channel::<()>();
    let wait = parking_lot::Mutex::new(wait);
    let backend = Backend::start(move |exchange| {
        if exchange.request.target() == "/slow" {
            wait.lock().recv().expect("the test goes on");
        }
        exchange.respond("200 OK", &[], b"")
    });
    let policy = "{connectionPool: {tcp: {maxConnections: 1}, http: {http1MaxPendingRequests: 1}}}";
    let gateway = Gateway::start(&objects(&[backend.address()], policy));
    let (mut first, mut second) = (gateway.connect(), gateway.connect());
    first.send(get("a", "/slow"));
    harness::wait::until("the first to be there", LIMIT, || (!backend.requests().is_empty()).then_some(()));
    second.send(get("a", "/"));
    // Which of two waits and which is refused is up to them; the third is one too many in any case.
    let mut third = gateway.connect();
    third.send(get("a", "/"));
    let refused = [&mut second, &mut third];
    harness::wait::until("one refusal", LIMIT, || {
        (gateway.metric("gateway_limit_overflow_total", &["limit=\"pending\""]) >= 1.0).then_some(())
    });
    go_on.send(()).expect("the backend waits");
    let mut statuses: Vec<u16> = refused.into_iter().map(|client| client.response().status()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 503]);
    assert_eq!(first.response().status(), 200);
    assert_eq!(backend.connections(), 1);
}

#[test]
fn a_connection_carries_no_more_requests_than_it_may() {
    let backend = Backend::saying("");
    let policy = "{connectionPool: {http: {maxRequestsPerConnection: 2}}}";
    let gateway = Gateway::start(&objects(&[backend.address()], policy));
    let mut client = gateway.connect();
    (0..6).for_each(|_| assert_eq!(client.exchange(get("a", "/")).status(), 200));
    assert_eq!(backend.connections(), 3);
}

#[test]
fn an_unused_connection_ends_after_its_time() {
    let backend = Backend::saying("");
    let policy = "{connectionPool: {tcp: {maxConnections: 1}, http: {idleTimeout: 1ms}}}";
    let gateway = Gateway::start(&objects(&[backend.address()], policy));
    let mut number = 0;
    harness::wait::until("a second connection", LIMIT, || {
        assert_eq!(gateway.connect().exchange(get("a", "/")).status(), 200);
        thread::yield_now();
        number += 1;
        // The sweep looks once a second, so that many requests find the first.
        (backend.connections() > 1).then_some(())
    });
}

#[test]
fn an_endpoint_that_fails_too_often_is_left_out() {
    let bad = Backend::start(|exchange| exchange.respond("500 Internal Server Error", &[], b"bad"));
    let good = Backend::saying("good");
    let policy = "{loadBalancer: {simple: ROUND_ROBIN}, outlierDetection: {consecutive5xxErrors: 3, \
                  baseEjectionTime: 10m, maxEjectionPercent: 100}}";
    let gateway = Gateway::start(&objects(&[bad.address(), good.address()], policy));
    let mut client = gateway.connect();
    let statuses: Vec<u16> = (0..40).map(|_| client.exchange(get("a", "/")).status()).collect();
    let failed = statuses.iter().filter(|status| **status == 500).count();
    assert_eq!(failed, 3, "{statuses:?}");
    let ejected = gateway.metric("gateway_outlier_ejected", &["outbound|80||s.default.svc.cluster.local"]);
    assert_eq!(ejected, 1.0);
    assert_eq!(gateway.metric("gateway_outlier_ejections_total", &["outbound|80||s"]), 1.0);
}

#[test]
fn with_everybody_ejected_there_is_no_healthy_upstream() {
    let bad = Backend::start(|exchange| exchange.respond("503 Service Unavailable", &[], b"bad"));
    let policy = "{outlierDetection: {consecutiveGatewayErrors: 1, baseEjectionTime: 10m, maxEjectionPercent: 100}}";
    let gateway = Gateway::start(&objects(&[bad.address()], policy));
    assert_eq!(gateway.connect().exchange(get("a", "/")).text(), "bad");
    let response = gateway.connect().exchange(get("a", "/"));
    assert_eq!((response.status(), response.text()), (503, "no healthy upstream"));
}

#[test]
fn an_ejected_endpoint_comes_back() {
    let counter = AtomicUsize::new(0);
    let backend = Backend::start(move |exchange| {
        let status = if counter.fetch_add(1, Ordering::SeqCst) == 0 { "500 Internal Server Error" } else { "200 OK" };
        exchange.respond(status, &[], b"")
    });
    let policy = "{outlierDetection: {consecutive5xxErrors: 1, interval: 10ms, baseEjectionTime: 20ms, \
                  maxEjectionPercent: 100}}";
    let gateway = Gateway::start(&objects(&[backend.address()], policy));
    assert_eq!(gateway.connect().exchange(get("a", "/")).status(), 500);
    harness::wait::until("its time to be over", LIMIT, || {
        (gateway.connect().exchange(get("a", "/")).status() == 200).then_some(())
    });
}

#[test]
fn nothing_is_sent_in_plaintext_where_tls_is_asked_for() {
    let backend = Backend::start(|_| Ok(Then::Close));
    let gateway = Gateway::start(&routes(RULE));
    let cases: [(&str, &[&str]); 3] = [
        // Nobody has given this gateway anything to make a handshake with.
        ("{mode: SIMPLE, credentialName: missing}", &[]),
        ("{mode: ISTIO_MUTUAL}", &["spec.trafficPolicy.tls.mode"]),
        ("{mode: MUTUAL}", &["spec.trafficPolicy.tls.clientCertificate", "spec.trafficPolicy.tls.privateKey"]),
    ];
    for (tls, told) in cases {
        let parsed =
            manifest::parse(&objects(&[backend.address()], &format!("{{tls: {tls}}}")), "test.yaml", "default");
        let context = IngestContext { cluster_domain: "cluster.local".into() };
        let read: Vec<_> = parsed.manifests.iter().map(|manifest| ingest(manifest, &context)).collect();
        let problems = read.iter().flat_map(|(_, problems)| problems).map(|problem| problem.path.as_str());
        assert_eq!(problems.collect::<Vec<_>>(), told, "the author is told");
        let resources = read.into_iter().filter_map(|(resource, _)| resource);
        gateway.publish(compile(resources, CompileSettings::default()).0);
        let mut client = gateway.connect();
        let response = harness::wait::until("the new table", LIMIT, || {
            let response = client.exchange(get("a", "/"));
            response.text().contains("remote connection failure").then_some(response)
        });
        assert_eq!(response.status(), 503);
    }
    assert_eq!(backend.connections(), 0, "not even a connection is made");
}

#[test]
fn no_more_retries_than_allowed_are_under_way() {
    // Answers after so long that retries meet.
    let most = Arc::new(AtomicUsize::new(0));
    let (now, seen) = (AtomicUsize::new(0), Arc::clone(&most));
    let backend = Backend::start(move |exchange| {
        let is_retry = exchange.request.field("x-envoy-attempt-count").is_some_and(|count| count != "1");
        if is_retry {
            seen.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            (0..100).for_each(|_| thread::yield_now());
            now.fetch_sub(1, Ordering::SeqCst);
        }
        exchange.respond("500 Internal Server Error", &[], b"bad")
    });
    let yaml = objects(&[backend.address()], "{connectionPool: {http: {maxRetries: 2}}}")
        .replace(RULE, "  - retries: {attempts: 3, retryOn: 5xx}\n    route: [{destination: {host: s}}]");
    let gateway = Gateway::with(&yaml, |settings| settings.workers = 2);
    let mut clients: Vec<Client> = (0..50).map(|_| gateway.connect()).collect();
    clients.iter_mut().for_each(|client| client.send(get("a", "/")));
    for client in &mut clients {
        assert_eq!(client.response().text(), "bad", "a retry that may not be leaves the answer there is");
    }
    assert!(most.load(Ordering::SeqCst) <= 2, "{} at once", most.load(Ordering::SeqCst));
    assert!(gateway.metric("gateway_limit_overflow_total", &["limit=\"retries\""]) >= 1.0);
}
