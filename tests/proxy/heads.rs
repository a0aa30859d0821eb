//! What of a head passes, what does not, and what is refused.

use crate::gateway::{Gateway, everything_to, routes, service};
use harness::http::{
    backend::{Backend, Then},
    client::get,
};

/// The request that the backend sees when a client sends `head`.
fn seen(head: &str) -> harness::http::message::Message {
    let backend = Backend::saying("");
    let gateway = Gateway::start(&everything_to(backend.address()));
    assert_eq!(gateway.connect().exchange(head).status(), 200, "{head}");
    backend.only_request()
}

#[test]
fn hop_by_hop_fields_end_here() {
    let request = seen(
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, X-Mine\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\n\
         X-Mine: 1\r\nTE: trailers\r\nX-Theirs: 2\r\n\r\n",
    );
    for gone in ["connection", "keep-alive", "proxy-connection", "x-mine"] {
        assert_eq!(request.field(gone), None);
    }
    assert_eq!(request.field("te"), Some("trailers"));
    assert_eq!(request.field("x-theirs"), Some("2"));
}

#[test]
fn hop_by_hop_fields_of_answers_end_here_too() {
    let backend = Backend::start(|exchange| {
        let fields = [("connection", "x-mine"), ("x-mine", "1"), ("keep-alive", "timeout=5"), ("x-a", "1")];
        exchange.respond("200 OK", &fields, b"")
    });
    let gateway = Gateway::start(&everything_to(backend.address()));
    let response = gateway.connect().exchange(get("a", "/"));
    assert_eq!(response.field("x-a"), Some("1"));
    for gone in ["connection", "keep-alive", "x-mine"] {
        assert_eq!(response.field(gone), None);
    }
}

#[test]
fn clients_cannot_steer_the_gateway() {
    let request = seen(
        "GET / HTTP/1.1\r\nhost: a\r\nx-envoy-max-retries: 9\r\nx-envoy-upstream-rq-timeout-ms: 1\r\n\
         x-envoy-internal: true\r\nx-forwarded-client-cert: Hash=0\r\nx-envoy-foo: 1\r\n\
         x-forwarded-proto: https\r\nx-forwarded-for: 1.2.3.4\r\n\r\n",
    );
    for gone in ["x-envoy-max-retries", "x-envoy-upstream-rq-timeout-ms", "x-envoy-internal", "x-forwarded-client-cert"]
    {
        assert_eq!(request.field(gone), None);
    }
    assert_eq!(request.field("x-envoy-foo"), Some("1"));
    assert_eq!(request.field("x-forwarded-proto"), Some("http"));
    assert!(request.field("x-forwarded-for").expect("there").starts_with("1.2.3.4,127."));
}

#[test]
fn an_absolute_target_is_the_host() {
    let request = seen("GET http://b.example/x HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(request.target(), "/x");
    assert_eq!(request.field("host"), Some("b.example"));
}

#[test]
fn several_hosts_are_joined() {
    assert_eq!(seen("GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n").field("host"), Some("a,b"));
}

#[test]
fn paths_are_normalised_before_routing_and_upstream() {
    assert_eq!(seen(&get("a", "/x/../%41b//c?../d")).target(), "/Ab//c?../d");
    let backend = Backend::saying("");
    let yaml = routes("  - match: [{uri: {prefix: /public}}]\n    route: [{destination: {host: backend}}]")
        + &service("backend", &[backend.address()]);
    let gateway = Gateway::start(&yaml);
    assert_eq!(gateway.connect().exchange(get("a", "/public/../secret")).status(), 404);
    assert_eq!(backend.connections(), 0);
}

#[test]
fn malformed_heads_get_400_and_the_end() {
    let backend = Backend::saying("");
    let gateway = Gateway::start(&everything_to(backend.address()));
    for head in [
        "GET\r\n\r\n",
        "GET / HTTP/1.1\r\nhost : a\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nno colon\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx",
        "GET / HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip\r\n\r\n",
        "GET /\x01 HTTP/1.1\r\nhost: a\r\n\r\n",
    ] {
        let mut client = gateway.connect();
        assert_eq!(client.exchange(head).status(), 400, "{head:?}");
        assert!(client.is_closed(), "{head:?}");
    }
    assert_eq!(backend.connections(), 0, "nothing of this reaches a backend");
}

#[test]
fn what_is_no_request_to_be_routed_is_refused() {
    let backend = Backend::saying("");
    let gateway = Gateway::start(&everything_to(backend.address()));
    for (request, status) in [("GET / HTTP/1.1\r\n\r\n", 400), ("CONNECT a:80 HTTP/1.1\r\nhost: a:80\r\n\r\n", 404)] {
        let mut client = gateway.connect();
        let response = client.exchange(request);
        assert_eq!((response.status(), response.field("connection")), (status, Some("close")), "{request}");
        assert!(client.is_closed(), "{request}");
    }
    let mut client = gateway.connect();
    assert_eq!(client.exchange("OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n").status(), 404);
    assert_eq!(client.exchange(get("a", "/")).status(), 200, "the connection lives");
}

#[test]
fn a_path_that_cannot_be_normalised_is_refused_and_the_connection_ends() {
    let backend = Backend::saying("");
    let gateway = Gateway::start(&everything_to(backend.address()));
    let mut client = gateway.connect();
    let response = client.exchange(get("a", "/%00"));
    assert_eq!((response.status(), response.field("connection")), (400, Some("close")));
    assert!(client.is_closed());
    assert!(backend.requests().is_empty());
}

#[test]
fn a_backend_with_unknown_framing_is_not_believed() {
    let backend = Backend::start(|exchange| {
        exchange.send("HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nabc")?;
        Ok(Then::Close)
    });
    let gateway = Gateway::start(&everything_to(backend.address()));
    assert_eq!(gateway.connect().exchange(get("a", "/")).status(), 502);
}
