//! Copies of requests.

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

fn gateway(rule: &str, main: SocketAddr, copies: &[SocketAddr]) -> Gateway {
    let rule = format!("  - {{{rule}, route: [{{destination: {{host: main}}}}]}}");
    Gateway::start(&(routes(&rule) + &service("main", &[main]) + &service("copies", copies)))
}

const MIRROR: &str = "rewrite: {uri: /new}, headers: {request: {set: {x-rule: it}}}, mirror: {host: copies}";

#[test]
fn a_copy_is_what_the_endpoint_gets() {
    let (main, copies) = (Backend::saying("here"), Backend::saying("ignored"));
    let gateway = gateway(MIRROR, main.address(), &[copies.address()]);
    let mut client = gateway.connect();
    let posts = [
        "content-length: 5\r\n\r\nwhole".to_owned(),
        "transfer-encoding: chunked\r\n\r\n5\r\nwhole\r\n0\r\n\r\n".to_owned(),
    ];
    for (number, post) in posts.iter().enumerate() {
        let request = format!("POST /old HTTP/1.1\r\nhost: a\r\nx-forwarded-for: 9.9.9.9\r\n{post}");
        assert_eq!(client.exchange(request).text(), "here");
        wait::until("the copy", LIMIT, || {
            (copies.requests().get(number).is_some_and(|r| r.body == b"whole")).then_some(())
        });
        let (copy, original) = (&copies.requests()[number], &main.requests()[number]);
        assert_eq!((&copy.start, copy.text()), (&original.start, original.text()));
        for name in ["host", "x-rule", "x-envoy-original-path", "x-request-id", "x-envoy-attempt-count"] {
            assert_eq!(copy.values(name), original.values(name), "{name}");
        }
        assert_eq!((copy.field("x-envoy-internal"), original.field("x-envoy-internal")), (Some("true"), None));
        let expected = format!("{},{}", original.field("x-forwarded-for").expect("there"), gateway.address().ip());
        assert_eq!(copy.field("x-forwarded-for"), Some(&*expected));
    }
    wait::until("both counted", LIMIT, || (gateway.metric("gateway_mirrors_sent_total", &[]) == 2.).then_some(()));
    assert_eq!(copies.connections(), 1, "a connection for copies is kept, too");
    assert_eq!(gateway.metric("istio_requests_total", &[]), 2., "a copy is no request");
}

#[test]
fn a_share_of_the_requests_is_copied_to_each() {
    const REQUESTS: usize = 1000;
    let (main, copies) = (Backend::saying("here"), Backend::saying("ignored"));
    let rule = "mirrors: [{destination: {host: copies}, percentage: {value: 30}}, \
                {destination: {host: main}, percentage: {value: 0}}, {destination: {host: nosuch}}]";
    let gateway = gateway(rule, main.address(), &[copies.address()]);
    let mut client = gateway.connect();
    for _ in 0..REQUESTS {
        assert_eq!(client.exchange(get("a", "/")).text(), "here");
    }
    let sent = || gateway.metric("gateway_mirrors_sent_total", &[]);
    wait::until("the copies", LIMIT, || (sent() > 0. && copies.requests().len() as f64 == sent()).then_some(()));
    // Nine standard deviations.
    assert!(copies.requests().len().abs_diff(REQUESTS * 3 / 10) < 130, "{}", copies.requests().len());
    assert_eq!(main.requests().len(), REQUESTS);
}

#[test]
fn nothing_a_copy_meets_is_noticed() {
    let main = Backend::saying("here");
    let nobody = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port");
    let hanging = Backend::start(|exchange| exchange.stream.read_to_end(&mut Vec::new()).map(|_| Then::Close));
    let broken = Backend::start(|_| Ok(Then::Close));
    let rule = "timeout: 5s, mirror: {host: copies}";
    for copies in [&[nobody][..], &[hanging.address()], &[broken.address()], &[]] {
        let gateway = gateway(rule, main.address(), copies);
        let mut client = gateway.connect();
        for _ in 0..20 {
            let response = client.exchange("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nwhole");
            assert_eq!((response.status(), response.text()), (200, "here"));
        }
    }
}

/// The copy's endpoint reads nothing: the request goes on at its own pace, and the copy is given up.
#[test]
fn a_slow_copy_is_given_up() {
    const LENGTH: usize = 64 << 20;
    let main = Backend::saying("here");
    // Connections are made, and nobody accepts them.
    let stuck = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = stuck.local_addr().expect("address");
    let gateway = gateway("timeout: 5s, mirror: {host: copies}", main.address(), &[address]);
    let mut client = gateway.connect();
    client.send(format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {LENGTH}\r\n\r\n"));
    let piece = vec![b'x'; 1 << 20];
    for _ in 0..LENGTH / piece.len() {
        client.send(&piece);
    }
    assert_eq!(client.response().text(), "here");
    assert_eq!(main.only_request().body.len(), LENGTH);
    wait::until("given up", LIMIT, || (gateway.metric("gateway_mirrors_abandoned_total", &[]) == 1.).then_some(()));
    wait::until("failed", LIMIT, || (gateway.metric("gateway_mirrors_failed_total", &[]) == 1.).then_some(()));
}

/// A request that is sent again is copied once.
#[test]
fn retries_are_not_copied() {
    let main = Backend::start(|exchange| {
        exchange.read_body()?;
        let is_first = exchange.request.field("x-envoy-attempt-count") == Some("1");
        exchange.respond(if is_first { "503 Busy" } else { "200 OK" }, &[], b"here")
    });
    let copies = Backend::saying("ignored");
    let rule = "retries: {attempts: 2, retryOn: 5xx, backoff: 1ms}, mirror: {host: copies}";
    let gateway = gateway(rule, main.address(), &[copies.address()]);
    let response = gateway.connect().exchange("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nwhole");
    assert_eq!(response.status(), 200);
    assert_eq!(main.requests().len(), 2);
    wait::until("the copy", LIMIT, || (gateway.metric("gateway_mirrors_sent_total", &[]) == 1.).then_some(()));
    assert_eq!(copies.only_request().text(), "whole");
}
