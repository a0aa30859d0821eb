//! Time limits: of a whole request, and of one attempt.

use crate::gateway::{Gateway, routes, service};
use harness::{
    http::{
        backend::{Backend, Then},
        client::get,
    },
    wait,
};
use std::{
    io::Read as _,
    net::{SocketAddr, TcpListener},
    time::Duration,
};

const LIMIT: Duration = Duration::from_secs(10);
const TIMED_OUT: &str = "upstream request timeout";

fn rule(parts: &str, backend: SocketAddr) -> String {
    routes(&format!("  - {{{parts}, route: [{{destination: {{host: backend}}}}]}}")) + &service("backend", &[backend])
}

/// A backend that reads requests and never answers.
fn silent() -> Backend {
    Backend::start(|exchange| {
        let _everything = exchange.stream.read_to_end(&mut Vec::new())?;
        Ok(Then::Close)
    })
}

#[test]
fn a_request_that_takes_too_long_is_504() {
    let backend = silent();
    let gateway = Gateway::start(&rule("timeout: 0.1s", backend.address()));
    let mut client = gateway.connect();
    for request in [get("a", "/"), "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc".to_owned()] {
        let response = client.exchange(request);
        assert_eq!((response.status(), response.text()), (504, TIMED_OUT));
        assert_eq!(response.field("content-type"), Some("text/plain"));
    }
    assert_eq!(backend.requests()[0].field("x-envoy-expected-rq-timeout-ms"), Some("100"));
    assert_eq!(gateway.metric("istio_requests_total", &["response_flags=\"UT\"", "response_code=\"504\""]), 2.);
}

#[test]
fn a_request_in_time_is_not_touched() {
    let backend = Backend::saying("here");
    let gateway = Gateway::start(&rule("timeout: 60s", backend.address()));
    let mut client = gateway.connect();
    for _ in 0..3 {
        assert_eq!(client.exchange("PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\nx").text(), "here");
    }
    assert_eq!(backend.connections(), 1, "the connection is kept");
    assert_eq!(backend.requests()[2].text(), "x");
}

#[test]
fn an_answer_that_stops_half_way_is_cut() {
    let backend = Backend::start(|exchange| {
        exchange.send("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")?;
        let _everything = exchange.stream.read_to_end(&mut Vec::new())?;
        Ok(Then::Close)
    });
    let gateway = Gateway::start(&rule("timeout: 0.3s", backend.address()));
    let mut client = gateway.connect();
    client.send(get("a", "/"));
    assert_eq!(client.head().status(), 200);
    assert_eq!(client.rest().unwrap_or_default().strip_prefix(b"half"), Some(&b""[..]));
    wait::until("counted", LIMIT, || {
        (gateway.metric("istio_requests_total", &["response_flags=\"UT\"", "response_code=\"200\""]) == 1.)
            .then_some(())
    });
}

/// The time begins when the request is complete.
#[test]
fn a_slow_upload_is_not_counted() {
    let backend = Backend::saying("here");
    let gateway = Gateway::start(&rule("timeout: 0.2s", backend.address()));
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nx");
    assert!(client.is_silent_for(Duration::from_millis(600)), "an answer before the request was complete");
    client.send("y");
    assert_eq!(client.response().text(), "here");
}

#[test]
fn waiting_for_a_connection_counts() {
    let nobody = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port");
    let retries = "retries: {attempts: 1000, retryOn: connect-failure, backoff: 1s}";
    let gateway = Gateway::start(&rule(&format!("timeout: 0.3s, {retries}"), nobody));
    let response = gateway.connect().exchange("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc");
    assert_eq!((response.status(), response.text()), (504, TIMED_OUT));
}

#[test]
fn a_grpc_client_says_how_long_it_waits() {
    let backend = silent();
    let gateway = Gateway::start(&rule("timeout: 60s", backend.address()));
    let head = "POST / HTTP/1.1\r\nhost: a\r\ncontent-type: application/grpc\r\ncontent-length: 1\r\n";
    let response = gateway.connect().exchange(format!("{head}grpc-timeout: 100m\r\n\r\nx"));
    assert_eq!((response.status(), response.field("grpc-status")), (200, Some("14")));
    assert_eq!(response.field("grpc-message"), Some(TIMED_OUT));
    assert_eq!(backend.requests()[0].field("grpc-timeout"), Some("100m"));
}

#[test]
fn a_try_that_takes_too_long_is_repeated_if_the_rule_says_so() {
    for (on, attempts, flags) in [("5xx", 3, "URX,UT"), ("reset", 3, "URX,UT"), ("connect-failure", 1, "UT")] {
        let backend = silent();
        let parts = format!("retries: {{attempts: 2, perTryTimeout: 0.1s, retryOn: {on}}}");
        let gateway = Gateway::start(&rule(&parts, backend.address()));
        let response = gateway.connect().exchange("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc");
        assert_eq!((response.status(), response.text()), (504, TIMED_OUT), "{on}");
        wait::until("every attempt", LIMIT, || (backend.requests().len() == attempts).then_some(()));
        let told = backend.requests().iter().all(|r| r.field("x-envoy-expected-rq-timeout-ms") == Some("100"));
        assert!(told, "{:?}", backend.requests());
        let flags = format!("response_flags=\"{flags}\"");
        assert_eq!(gateway.metric("istio_requests_total", &[&flags]), 1., "{on}");
    }
}
