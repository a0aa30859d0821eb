//! Requests that are sent again: how often, where to, and with what.

use crate::gateway::{Gateway, routes, service};
use harness::http::{
    backend::{Backend, Then},
    client::get,
    message::Message,
};
use std::{
    net::{SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

fn rule(retries: &str, backends: &[SocketAddr]) -> String {
    let rule = format!("  - {{retries: {retries}, route: [{{destination: {{host: backend}}}}]}}");
    routes(&rule) + &service("backend", backends)
}

/// A backend that fails `failures` times by `fail`, and answers `here` then.
fn failing(failures: usize, fail: impl Fn() -> Option<&'static str> + Send + Sync + 'static) -> Backend {
    let asked = Arc::new(AtomicUsize::new(0));
    Backend::start(move |exchange| {
        exchange.read_body()?;
        if asked.fetch_add(1, Ordering::SeqCst) >= failures {
            return exchange.respond("200 OK", &[], b"here");
        }
        match fail() {
            Some(answer) => exchange.send(answer).map(|()| Then::KeepOpen),
            None => Ok(Then::Close),
        }
    })
}

fn counts(backend: &Backend) -> Vec<String> {
    let count = |request: &Message| request.field("x-envoy-attempt-count").unwrap_or("none").to_owned();
    backend.requests().iter().map(count).collect()
}

const BURST: &str = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\n\r\nbusy";
const LARGE: &str = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 100000\r\n\r\nonly a part of it";
const POST: &str = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nwhole";

#[test]
fn a_burst_of_errors_is_passed_over() {
    for answer in [Some(BURST), Some(LARGE), None] {
        let backend = failing(2, move || answer);
        let gateway = Gateway::start(&rule("{attempts: 2, retryOn: 5xx, backoff: 1ms}", &[backend.address()]));
        assert_eq!(gateway.connect().exchange(POST).text(), "here");
        assert_eq!(counts(&backend), ["1", "2", "3"]);
        assert!(backend.requests().iter().all(|request| request.text() == "whole"), "{:#?}", backend.requests());
        assert_eq!(gateway.metric("istio_requests_total", &["response_code=\"200\"", "response_flags=\"-\""]), 1.);
    }
}

#[test]
fn the_last_answer_is_passed_on_when_nothing_helps() {
    let backend = failing(usize::MAX, || Some(BURST));
    let gateway = Gateway::start(&rule("{attempts: 3, retryOn: '503', backoff: 1ms}", &[backend.address()]));
    let response = gateway.connect().exchange(get("a", "/"));
    assert_eq!((response.status(), response.text()), (503, "busy"));
    assert_eq!(counts(&backend).len(), 4);
    assert_eq!(backend.connections(), 1, "an answer that was there whole costs no connection");
    assert_eq!(gateway.metric("istio_requests_total", &["response_flags=\"URX\""]), 1.);
}

#[test]
fn the_last_reset_is_said_when_nothing_helps() {
    let backend = failing(usize::MAX, || None);
    let gateway = Gateway::start(&rule("{attempts: 1, retryOn: reset, backoff: 1ms}", &[backend.address()]));
    let response = gateway.connect().exchange(POST);
    assert_eq!(response.status(), 503);
    assert_eq!(
        response.text(),
        "upstream connect error or disconnect/reset before headers. retried and the latest reset reason: connection \
         termination"
    );
    assert_eq!(counts(&backend), ["1", "2"]);
    assert_eq!(gateway.metric("istio_requests_total", &["response_flags=\"URX,UC\""]), 1.);
}

#[test]
fn what_is_not_named_is_not_repeated() {
    let cases = [
        ("{attempts: 0}", Some(BURST)),
        ("{attempts: 2}", Some(BURST)),
        ("{attempts: 2, retryOn: 'gateway-error,409'}", Some("HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n")),
        ("{attempts: 2, retryOn: 'connect-failure,retriable-4xx'}", None),
        ("{attempts: 2, retryOn: 5xx}", Some("HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n")),
        (
            "{attempts: 2, retryOn: 5xx}",
            Some("HTTP/1.1 503 No\r\nx-envoy-ratelimited: true\r\ncontent-length: 0\r\n\r\n"),
        ),
    ];
    for (retries, answer) in cases {
        let backend = failing(usize::MAX, move || answer);
        let gateway = Gateway::start(&rule(retries, &[backend.address()]));
        let status = gateway.connect().exchange(POST).status();
        assert!(status >= 400, "{retries}: {status}");
        assert_eq!(counts(&backend), ["1"], "{retries}");
        assert_eq!(gateway.metric("istio_requests_total", &["URX"]), 0., "{retries}");
    }
}

#[test]
fn retries_that_are_off_do_not_even_follow_a_refused_connection() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port");
    let gateway = Gateway::start(&rule("{attempts: 0}", &[nobody]));
    let response = gateway.connect().exchange(get("a", "/"));
    assert_eq!(
        response.text(),
        "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure"
    );
    assert_eq!(gateway.metric("istio_requests_total", &["response_flags=\"UF\""]), 1.);
}

/// The status is in the head where a gRPC server answers at once; Istio's default repeats two of them.
#[test]
fn grpc_statuses_are_repeated() {
    const UNAVAILABLE: &str =
        "HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\ngrpc-status: 14\r\ncontent-length: 0\r\n\r\n";
    const POST: &str = "POST / HTTP/1.1\r\nhost: a\r\ncontent-type: application/grpc\r\ncontent-length: 5\r\n\r\nwhole";
    let backend = failing(1, || Some(UNAVAILABLE));
    let rule = routes("  - route: [{destination: {host: backend}}]") + &service("backend", &[backend.address()]);
    let gateway = Gateway::start(&rule);
    assert_eq!(gateway.connect().exchange(POST).text(), "here");
    assert_eq!(counts(&backend), ["1", "2"]);
    assert!(backend.requests().iter().all(|request| request.text() == "whole"));
}

#[test]
fn another_endpoint_is_asked() {
    let bad = failing(usize::MAX, || Some(BURST));
    let good = Backend::saying("here");
    let addresses = [bad.address(), good.address()];
    let gateway = Gateway::start(&rule("{attempts: 1, retryOn: 5xx, backoff: 1ms}", &addresses));
    let mut client = gateway.connect();
    for _ in 0..40 {
        assert_eq!(client.exchange(get("a", "/")).text(), "here");
    }
    assert!(!bad.requests().is_empty(), "draws lead to the bad one too");
}

/// Up to a mebibyte is kept, as Envoy does; a longer body goes out once.
#[test]
fn a_body_that_has_come_before_its_endpoint_is_sent_whole() {
    // How much of it comes first is for the scheduler to say.
    for _ in 0..8 {
        let nobody = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port");
        let rule = rule("{attempts: 3, retryOn: connect-failure, backoff: 2s}, timeout: 60s", &[nobody]);
        let gateway = Gateway::start(&rule);
        // Longer than what is kept, and there long before anybody reads it.
        let length = 3_000_000;
        let mut client = gateway.connect();
        client.send(format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n"));
        client.send("x".repeat(1_000_000));
        let backend = Backend::start_at(nobody, |exchange| {
            exchange.read_body()?;
            exchange.respond("200 OK", &[], b"here")
        });
        client.send("x".repeat(length - 1_000_000));
        assert_eq!(client.response().text(), "here");
        assert_eq!(backend.only_request().body.len(), length);
    }
}

#[test]
fn a_long_body_is_sent_once() {
    for (length, attempts) in [(900_000, 3), (2_000_000, 1)] {
        let backend = failing(usize::MAX, || Some(BURST));
        let gateway = Gateway::start(&rule("{attempts: 2, retryOn: 5xx, backoff: 1ms}", &[backend.address()]));
        let head = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n");
        let response = gateway.connect().exchange(head + &"x".repeat(length));
        assert_eq!((response.status(), response.text()), (503, "busy"));
        let lengths: Vec<usize> = backend.requests().iter().map(|request| request.body.len()).collect();
        assert_eq!(lengths, vec![length; attempts]);
    }
}

/// An answer may come before the whole request has: what has come is sent again, and the rest follows.
#[test]
fn a_retry_begins_before_the_body_has_come() {
    let backend = Backend::start(|exchange| {
        if exchange.request.field("x-envoy-attempt-count") == Some("1") {
            return exchange.send(BURST).map(|()| Then::KeepOpen);
        }
        exchange.read_body()?;
        let body = exchange.request.body.clone();
        exchange.respond("200 OK", &[], &body)
    });
    let gateway = Gateway::start(&rule("{attempts: 1, retryOn: 5xx, backoff: 1ms}", &[backend.address()]));
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nfirst");
    harness::wait::until("the second attempt", std::time::Duration::from_secs(10), || {
        (backend.requests().len() == 2).then_some(())
    });
    client.send("-last");
    assert_eq!(client.response().text(), "first-last");
}

#[test]
fn nothing_a_client_says_changes_the_policy() {
    let backend = failing(usize::MAX, || Some(BURST));
    let gateway = Gateway::start(&rule("{attempts: 1, retryOn: 5xx, backoff: 1ms}", &[backend.address()]));
    let fields = "x-envoy-max-retries: 9\r\nx-envoy-retry-on: 5xx\r\nx-envoy-upstream-rq-timeout-ms: 1\r\n\
                  x-envoy-upstream-rq-per-try-timeout-ms: 1\r\nx-envoy-retriable-status-codes: 503\r\n";
    let response = gateway.connect().exchange(format!("GET / HTTP/1.1\r\nhost: a\r\n{fields}\r\n"));
    assert_eq!(response.status(), 503);
    assert_eq!(counts(&backend), ["1", "2"]);
}
