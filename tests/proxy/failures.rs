//! Backends that are not there, go away, or talk nonsense.

use crate::gateway::{Gateway, everything_to, routes, service};
use harness::{
    http::{
        backend::{Backend, Then},
        client::get,
    },
    wait,
};
use std::{
    net::{SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

const LIMIT: Duration = Duration::from_secs(10);

/// An address where nobody listens. The port is free, and stays so for the moment of a test.
fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port")
}

#[test]
fn a_refused_connection_is_tried_again_and_then_said() {
    let gateway = Gateway::start(&everything_to(nobody()));
    let mut client = gateway.connect();
    let response = client.exchange(get("a", "/"));
    assert_eq!(response.status(), 503);
    assert_eq!(
        response.text(),
        "upstream connect error or disconnect/reset before headers. retried and the latest reset reason: remote \
         connection failure"
    );
    assert_eq!(response.field("content-type"), Some("text/plain"));
    assert_eq!(response.field("server"), Some("istio-envoy"));
    assert_eq!(gateway.metric("istio_requests_total", &["response_flags=\"URX,UF\""]), 1.);
    assert_eq!(client.exchange(get("a", "/")).status(), 503, "the connection lives");
}

#[test]
fn another_endpoint_takes_over() {
    let backend = Backend::saying("here");
    let yaml =
        routes("  - route: [{destination: {host: backend}}]") + &service("backend", &[nobody(), backend.address()]);
    let gateway = Gateway::start(&yaml);
    let mut client = gateway.connect();
    for _ in 0..50 {
        assert_eq!(client.exchange("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\nx").text(), "here");
    }
    let attempts: Vec<String> =
        backend.requests().iter().map(|r| r.field("x-envoy-attempt-count").expect("there").to_owned()).collect();
    assert!(attempts.contains(&"2".to_owned()), "half of the draws fail once: {attempts:?}");
}

#[test]
fn a_connection_closed_before_the_answer_is_503() {
    let asked = Arc::new(AtomicUsize::new(0));
    let backend = Backend::start({
        let asked = Arc::clone(&asked);
        move |_| {
            asked.fetch_add(1, Ordering::SeqCst);
            Ok(Then::Close)
        }
    });
    let gateway = Gateway::start(&everything_to(backend.address()));
    let mut client = gateway.connect();
    let response = client.exchange("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\nx");
    assert_eq!(response.status(), 503);
    assert_eq!(
        response.text(),
        "upstream connect error or disconnect/reset before headers. reset reason: connection termination"
    );
    assert_eq!(asked.load(Ordering::SeqCst), 1, "what the backend may have acted on is not repeated");
    assert_eq!(gateway.metric("istio_requests_total", &["response_flags=\"UC\""]), 1.);
}

#[test]
fn what_is_not_http_is_502() {
    let backend = Backend::start(|exchange| {
        exchange.send("SSH-2.0-OpenSSH_9.2\r\n")?;
        Ok(Then::KeepOpen)
    });
    let gateway = Gateway::start(&everything_to(backend.address()));
    let response = gateway.connect().exchange(get("a", "/"));
    assert_eq!(response.status(), 502);
    assert_eq!(
        response.text(),
        "upstream connect error or disconnect/reset before headers. reset reason: protocol error"
    );
    assert_eq!(gateway.metric("istio_requests_total", &["response_flags=\"UPE\""]), 1.);
}

#[test]
fn an_answer_cut_short_is_not_made_whole() {
    for framing in ["content-length: 100\r\n\r\nonly this", "transfer-encoding: chunked\r\n\r\n9\r\nonly this\r\n"] {
        let backend = Backend::start(move |exchange| {
            exchange.send(format!("HTTP/1.1 200 OK\r\n{framing}"))?;
            Ok(Then::Close)
        });
        let gateway = Gateway::start(&everything_to(backend.address()));
        let mut client = gateway.connect();
        client.send(get("a", "/"));
        // A reset, or an end without the rest; the head may be lost with it.
        let all = String::from_utf8(client.rest().unwrap_or_default()).expect("text");
        assert!(!all.ends_with("0\r\n\r\n") && all.len() < 300, "{all:?} looks whole");
        wait::until("counted as cut", LIMIT, || {
            (gateway.metric("istio_requests_total", &["response_flags=\"UC\""]) == 1.).then_some(())
        });
    }
}
