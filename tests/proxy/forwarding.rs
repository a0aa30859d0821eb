//! Requests on their way to a backend, answers on their way back.

use crate::gateway::{Gateway, everything_to, routes, service};
use harness::http::{backend::Backend, client::get};

#[test]
fn a_request_arrives_as_istios_gateway_sends_it() {
    let backend = Backend::saying("hello");
    let gateway = Gateway::start(&everything_to(backend.address()));
    let mut client = gateway.connect();
    let response = client.exchange(get("reviews.example:8080", "/reviews/0?a=b"));
    assert_eq!(response.status(), 200);
    assert_eq!(response.text(), "hello");
    assert_eq!(response.field("server"), Some("istio-envoy"));
    assert!(response.field("x-envoy-upstream-service-time").expect("there").parse::<u64>().is_ok());
    assert!(response.field("date").is_some(), "the backend sent none, so the gateway does");

    let request = backend.only_request();
    assert_eq!(request.start, "GET /reviews/0?a=b HTTP/1.1");
    assert_eq!(request.fields[0], ("host".to_owned(), "reviews.example:8080".to_owned()), "Host comes first");
    let peer = client.local_address().ip().to_string();
    assert_eq!(request.field("x-forwarded-for"), Some(&*peer));
    assert_eq!(request.field("x-envoy-external-address"), Some(&*peer));
    assert_eq!(request.field("x-forwarded-proto"), Some("http"));
    assert_eq!(request.field("x-envoy-attempt-count"), Some("1"));
    assert_eq!(request.field("x-envoy-decorator-operation"), Some("backend.default.svc.cluster.local:80/*"));
    let id = request.field("x-request-id").expect("there");
    assert!(id.len() == 36 && id.as_bytes()[14] == b'4', "{id} is a random UUID");
    assert_eq!(request.fields.len(), 7, "and nothing else: {request:#?}");
}

#[test]
fn every_request_gets_an_id_of_its_own() {
    let backend = Backend::saying("");
    let gateway = Gateway::start(&everything_to(backend.address()));
    let mut client = gateway.connect();
    client.exchange("GET / HTTP/1.1\r\nhost: a\r\nx-request-id: mine\r\n\r\n");
    client.exchange("GET / HTTP/1.1\r\nhost: a\r\nx-request-id: mine\r\n\r\n");
    let ids: Vec<String> =
        backend.requests().iter().map(|r| r.field("x-request-id").expect("there").to_owned()).collect();
    assert_ne!(ids[0], "mine");
    assert_ne!(ids[0], ids[1]);
}

#[test]
fn the_backends_server_is_hidden_and_its_date_kept() {
    let backend = Backend::start(|exchange| {
        let fields = [("server", "nginx"), ("date", "Thu, 01 Jan 1970 00:00:00 GMT"), ("x-a", "1"), ("x-a", "2")];
        exchange.respond("200 Fine", &fields, b"")
    });
    let gateway = Gateway::start(&everything_to(backend.address()));
    let response = gateway.connect().exchange(get("a", "/"));
    assert_eq!(response.start, "HTTP/1.1 200 OK");
    assert_eq!(response.field("server"), Some("istio-envoy"));
    assert_eq!(response.field("date"), Some("Thu, 01 Jan 1970 00:00:00 GMT"));
    assert_eq!(response.values("x-a"), ["1", "2"]);
}

#[test]
fn rewrites_say_what_was_there_before() {
    let backend = Backend::saying("");
    let yaml = routes(
        "  - match: [{uri: {prefix: /old}}]
    rewrite: {uri: /new, authority: inner.example}
    route: [{destination: {host: backend}}]",
    ) + &service("backend", &[backend.address()]);
    let gateway = Gateway::start(&yaml);
    gateway.connect().exchange(get("outer.example", "/old/x?y=z"));
    let request = backend.only_request();
    assert_eq!(request.target(), "/new/x?y=z");
    assert_eq!(request.field("host"), Some("inner.example"));
    assert_eq!(request.field("x-envoy-original-path"), Some("/old/x?y=z"));
    assert_eq!(request.field("x-envoy-original-host"), Some("outer.example"));
}

#[test]
fn header_operations_act_on_both_ways() {
    let backend =
        Backend::start(|exchange| exchange.respond("200 OK", &[("x-secret", "1"), ("x-version", "backend")], b""));
    let yaml = routes(
        "  - headers:
      request: {set: {x-a: '%REQ(:PATH)%'}, add: {x-b: two}, remove: [x-c]}
      response: {set: {x-version: gateway}, remove: [x-secret]}
    route: [{destination: {host: backend}}]",
    ) + &service("backend", &[backend.address()]);
    let gateway = Gateway::start(&yaml);
    let response = gateway.connect().exchange("GET /p?q HTTP/1.1\r\nhost: a\r\nx-a: 0\r\nx-b: one\r\nx-c: 3\r\n\r\n");
    assert_eq!(response.values("x-version"), ["gateway"]);
    assert_eq!(response.field("x-secret"), None);
    let request = backend.only_request();
    assert_eq!(request.values("x-a"), ["/p?q"]);
    assert_eq!(request.values("x-b"), ["one", "two"]);
    assert_eq!(request.field("x-c"), None);
}

#[test]
fn hostname_is_the_name_of_the_gateways_host() {
    let backend = Backend::saying("");
    let yaml = routes(
        "  - headers:
      request: {set: {x-via: '%HOSTNAME%'}}
      response: {set: {x-by: '%HOSTNAME%'}}
    route: [{destination: {host: backend}}]",
    ) + &service("backend", &[backend.address()]);
    let gateway = Gateway::with(&yaml, |settings| settings.hostname = "istio-ingressgateway-x7k2p".into());
    let response = gateway.connect().exchange(get("a", "/"));
    assert_eq!(response.field("x-by"), Some("istio-ingressgateway-x7k2p"));
    assert_eq!(backend.only_request().field("x-via"), Some("istio-ingressgateway-x7k2p"));
}

#[test]
fn weights_divide_the_requests() {
    let backends = [Backend::saying("v1"), Backend::saying("v2"), Backend::saying("v3")];
    let yaml = routes(
        "  - route:
    - {destination: {host: v1}, weight: 75}
    - {destination: {host: v2}, weight: 25}
    - {destination: {host: v3}, weight: 0}",
    ) + &service("v1", &[backends[0].address()])
        + &service("v2", &[backends[1].address()])
        + &service("v3", &[backends[2].address()]);
    let gateway = Gateway::start(&yaml);
    let mut client = gateway.connect();
    for _ in 0..1000 {
        assert_eq!(client.exchange(get("a", "/")).status(), 200);
    }
    let counts: Vec<usize> = backends.iter().map(|backend| backend.requests().len()).collect();
    // Six standard deviations: once in half a billion runs by chance.
    assert!(counts[0].abs_diff(750) < 83, "{counts:?}");
    assert_eq!(counts[0] + counts[1], 1000, "{counts:?}");
    assert_eq!(backends[2].connections(), 0, "weight 0 never gets anything");
}

#[test]
fn requests_in_a_row_are_answered_in_order() {
    let backend = Backend::start(|exchange| {
        let target = exchange.request.target().to_owned();
        exchange.respond("200 OK", &[], target.as_bytes())
    });
    let gateway = Gateway::start(&everything_to(backend.address()));
    let mut client = gateway.connect();
    let all: String = (0..20).map(|number| get("a", &format!("/{number}"))).collect();
    client.send(all);
    for number in 0..20 {
        assert_eq!(client.response().text(), format!("/{number}"));
    }
    assert_eq!(backend.connections(), 1, "one at a time needs one connection");
}

#[test]
fn http_1_0_is_answered_and_closed_unless_it_asks() {
    let backend = Backend::start(|exchange| {
        exchange.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")?;
        Ok(harness::http::backend::Then::KeepOpen)
    });
    let gateway = Gateway::start(&everything_to(backend.address()));
    let mut client = gateway.connect();
    let response = client.exchange("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(response.start, "HTTP/1.0 200 OK");
    assert_eq!(response.text(), "abc", "without chunks, which HTTP/1.0 does not know");
    assert_eq!(backend.only_request().start, "GET / HTTP/1.1", "upstream it is always 1.1");

    let keeping = Backend::saying("kept");
    let gateway = Gateway::start(&everything_to(keeping.address()));
    let mut client = gateway.connect();
    for _ in 0..2 {
        let response = client.exchange("GET / HTTP/1.0\r\nhost: a\r\nconnection: keep-alive\r\n\r\n");
        assert_eq!(response.text(), "kept");
    }
}

#[test]
fn connection_close_closes() {
    let backend = Backend::saying("bye");
    let gateway = Gateway::start(&everything_to(backend.address()));
    let mut client = gateway.connect();
    let response = client.exchange("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    assert_eq!(response.field("connection"), Some("close"));
    assert!(client.is_closed());
    assert_eq!(backend.only_request().field("connection"), None, "which is the client's business alone");
}
