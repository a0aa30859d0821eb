//! Backends that speak HTTP/2, with clients of either version.

use super::{http2_to, service_called};
use crate::gateway::Gateway;
use bytes::Bytes;
use harness::{
    http::client::{Client, get},
    http2::{
        backend::{Exchange, Http2Backend, Manners},
        client::{Begun, Http2Client, read, request},
        frames,
    },
    objects::routes,
    wait,
};
use http::{HeaderMap, Version};
use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};
use tokio::sync::Semaphore;

const PATIENCE: Duration = Duration::from_secs(20);

async fn echo(mut exchange: Exchange) {
    let body = exchange.read_all().await;
    exchange.answer(200, &[("x-b", "2")], &body);
}

/// A backend that answers each request with what `answer` makes of its path, once `gate` lets it.
fn gated(gate: &Arc<Semaphore>, answer: fn(&str) -> String) -> Http2Backend {
    let gate = Arc::clone(gate);
    Http2Backend::start(Manners::default(), move |mut exchange| {
        let gate = Arc::clone(&gate);
        async move {
            let _open = gate.acquire().await.expect("a gate");
            let body = answer(exchange.head.uri.path());
            exchange.answer(200, &[], body.as_bytes());
        }
    })
}

#[test]
fn a_request_of_http_1_becomes_one_of_http_2_and_its_answer_comes_back() {
    let backend = Http2Backend::start(Manners::default(), echo);
    let gateway = Gateway::start(&http2_to(&[backend.address()], ""));
    let mut client = gateway.connect();
    let answer = client.exchange(
        "POST /b?c=d HTTP/1.1\r\nhost: a.com:8080\r\ntransfer-encoding: chunked\r\nconnection: x-hop\r\nx-hop: 1\r\n\
         te: trailers\r\nx-a: 1\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    );
    assert_eq!((answer.status(), answer.text(), answer.field("x-b")), (200, "hello", Some("2")));
    let again = client.exchange(get("a", "/empty"));
    assert_eq!((again.status(), again.text()), (200, ""));
    let requests = backend.requests();
    let asked = &requests[0];
    assert_eq!(asked.head.version, Version::HTTP_2);
    assert_eq!(asked.head.uri, "http://a.com:8080/b?c=d");
    assert_eq!(asked.body, b"hello");
    let names: Vec<&str> = asked.head.headers.keys().map(http::HeaderName::as_str).collect();
    for gone in ["host", "transfer-encoding", "connection", "x-hop"] {
        assert!(!names.contains(&gone), "{names:?}");
    }
    assert_eq!(asked.head.headers["te"], "trailers");
    assert_eq!(asked.head.headers["x-a"], "1");
    assert_eq!(backend.connections(), 1, "one connection carries them all");
}

#[test]
fn large_bodies_pass_whole_and_slowly_where_somebody_is_slow() {
    let backend = Http2Backend::start(Manners::default(), echo);
    let gateway = Gateway::start(&http2_to(&[backend.address()], ""));
    let sent: Vec<u8> = (0..5_000_000_usize).map(|index| index.to_le_bytes()[index % 2]).collect();
    let http2 = Http2Client::connect(gateway.address());
    assert!(http2.send(request("POST", "http://a/", &[]), &sent, None).expect("an answer").body == sent);
    let mut http1 = gateway.connect();
    let mut message = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", sent.len()).into_bytes();
    message.extend_from_slice(&sent);
    assert!(http1.exchange(message).body == sent);
}

/// Not even when it is as much as there may be of each.
#[test]
fn answers_that_nobody_takes_keep_nobody_from_others() {
    let backend = Http2Backend::start(Manners::default(), |mut exchange| async move {
        if exchange.head.uri.path() == "/small" {
            return exchange.answer(200, &[], b"small");
        }
        exchange.answer(200, &[], &vec![b'x'; 2 << 20]);
    });
    let gateway = Gateway::start(&http2_to(&[backend.address()], ""));
    let mut slow = frames::Frames::connect(gateway.address());
    // SETTINGS_INITIAL_WINDOW_SIZE of nothing.
    slow.send(frames::SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]).expect("sent");
    let fields = [(":method", "GET"), (":scheme", "http"), (":path", "/large"), (":authority", "a")];
    let streams = (0..30).map(|number| 2 * number + 1);
    for stream in streams.clone() {
        let (flags, block) = (frames::END_HEADERS | frames::END_STREAM, frames::block(&fields));
        slow.send(frames::HEADERS, flags, stream, &block).expect("sent");
    }
    for _ in streams {
        assert!(slow.next_of(&[frames::HEADERS]).is_some());
    }
    for _ in 0..100 {
        assert_eq!(gateway.connect().exchange(get("a", "/small")).text(), "small");
    }
    assert_eq!(backend.connections(), 1);
}

#[test]
fn many_requests_share_one_connection() {
    let gate = Arc::new(Semaphore::new(0));
    let backend = gated(&gate, |path| path.to_owned());
    let gateway = Gateway::start(&http2_to(&[backend.address()], ""));
    let client = Http2Client::connect(gateway.address());
    let begun: Vec<Begun> =
        (0..60).map(|index| client.begin(request("POST", &format!("http://a/{index}"), &[]))).collect();
    wait::until("all at the backend", PATIENCE, || (backend.requests().len() == 60).then_some(()));
    gate.add_permits(1);
    for (index, begun) in begun.into_iter().enumerate() {
        let answer = client.wait(read(begun.response)).expect("an answer");
        assert_eq!(answer.body, format!("/{index}").into_bytes());
    }
    assert_eq!(backend.connections(), 1);
}

#[test]
fn what_a_backend_allows_on_a_connection_is_kept_to() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let backend = Http2Backend::start(Manners { streams: Some(2), ..Manners::default() }, {
        let (now, most) = (Arc::clone(&now), Arc::clone(&most));
        move |mut exchange| {
            let (now, most) = (Arc::clone(&now), Arc::clone(&most));
            async move {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                exchange.read_all().await;
                now.fetch_sub(1, Ordering::SeqCst);
                exchange.answer(200, &[], b"ok");
            }
        }
    });
    let gateway = Gateway::start(&http2_to(&[backend.address()], ""));
    let client = Http2Client::connect(gateway.address());
    // Its settings are known from now on.
    assert_eq!(client.ask(request("GET", "http://a/", &[])).expect("an answer").status(), 200);
    let begun: Vec<Begun> = (0..10).map(|_| client.begin(request("POST", "http://a/", &[]))).collect();
    wait::until("all at the backend", PATIENCE, || (now.load(Ordering::SeqCst) == 10).then_some(()));
    assert_eq!(backend.connections(), 5);
    for Begun { response, mut upload } in begun {
        upload.send_data(Bytes::from_static(b"x"), true).expect("an open stream");
        assert_eq!(client.wait(read(response)).expect("an answer").status(), 200);
    }
}

#[test]
fn a_refused_request_is_sent_again_with_its_body_and_a_reset_one_is_not() {
    let count = Arc::new(AtomicUsize::new(0));
    let backend = Http2Backend::start(Manners::default(), {
        let count = Arc::clone(&count);
        move |mut exchange| {
            let is_first = count.fetch_add(1, Ordering::SeqCst) == 0;
            async move {
                let body = exchange.read_all().await;
                match exchange.head.uri.path() {
                    "/refuse" if is_first => exchange.respond.send_reset(h2::Reason::REFUSED_STREAM),
                    "/reset" => exchange.respond.send_reset(h2::Reason::INTERNAL_ERROR),
                    _ => exchange.answer(200, &[], &body),
                }
            }
        }
    });
    let gateway = Gateway::start(&http2_to(&[backend.address()], ""));
    let mut client = gateway.connect();
    let post = |path: &str| format!("POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello");
    let again = client.exchange(post("/refuse"));
    assert_eq!((again.status(), again.text()), (200, "hello"));
    assert_eq!(backend.requests().len(), 2);
    assert_eq!(backend.requests()[1].head.headers["x-envoy-attempt-count"], "2");
    let reset = client.exchange(post("/reset"));
    assert_eq!(reset.status(), 503);
    assert_eq!(reset.text(), "upstream connect error or disconnect/reset before headers. reset reason: remote reset");
    assert_eq!(backend.requests().len(), 3, "it may have been looked at");
}

#[test]
fn a_backend_that_says_goodbye_loses_no_request() {
    let backend = Http2Backend::start(Manners { requests: Some(7), ..Manners::default() }, echo);
    let gateway = Gateway::start(&http2_to(&[backend.address()], ""));
    let client = Http2Client::connect(gateway.address());
    for round in 0..10 {
        let begun: Vec<Begun> = (0..10)
            .map(|_| {
                let mut begun = client.begin(request("POST", "http://a/", &[]));
                begun.upload.send_data(Bytes::from_static(b"body"), true).expect("an open stream");
                begun
            })
            .collect();
        for begun in begun {
            let answer = client.wait(read(begun.response)).expect("an answer");
            assert_eq!((answer.status(), &*answer.body), (200, &b"body"[..]), "round {round}");
        }
    }
    assert!(backend.connections() > 1, "it was taken at its word");
}

#[test]
fn a_backend_that_dies_takes_only_its_own_requests_along() {
    let backend = Http2Backend::saying("hello");
    let gateway = Gateway::start(&http2_to(&[backend.address()], ""));
    let mut client = gateway.connect();
    assert_eq!(client.exchange(get("a", "/")).text(), "hello");
    drop(backend);
    assert_eq!(client.exchange(get("a", "/")).status(), 503);
}

#[test]
fn what_speaks_no_http_2_gets_nothing_through() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("address");
    let old = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        stream
            .write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            .expect("an answer");
        let mut said = Vec::new();
        let _gone = stream.read_to_end(&mut said).is_ok();
        said
    });
    let gateway = Gateway::start(&http2_to(&[address], ""));
    let mut client = gateway.connect();
    let answer = client.exchange(get("a", "/"));
    assert!([502, 503].contains(&answer.status()), "{answer:?}");
    assert!(old.join().expect("no panic").starts_with(frames::PREFACE));
}

#[test]
fn trailers_pass_from_end_to_end() {
    let backend = Http2Backend::start(Manners::default(), |mut exchange| async move {
        exchange.read_all().await;
        let mut stream = exchange.head(200, &[]);
        stream.send_data(Bytes::from_static(b"hello"), false).expect("an open stream");
        let mut trailers = HeaderMap::new();
        trailers.insert("x-last", "2".parse().expect("a value"));
        stream.send_trailers(trailers).expect("an open stream");
    });
    let gateway = Gateway::start(&http2_to(&[backend.address()], ""));
    let client = Http2Client::connect(gateway.address());
    let mut trailers = HeaderMap::new();
    trailers.insert("x-first", "1".parse().expect("a value"));
    let answer = client.send(request("POST", "http://a/", &[]), b"body", Some(trailers)).expect("an answer");
    assert_eq!((&*answer.body, answer.trailer("x-last")), (&b"hello"[..], Some("2")));
    let asked = backend.only_request();
    assert_eq!(asked.body, b"body");
    assert_eq!(asked.trailers.expect("trailers")["x-first"], "1");
    // Where HTTP/1 does not ask for them they are left out, and the body is whole.
    let old = Client::connect(gateway.address()).exchange(get("a", "/"));
    assert_eq!((old.status(), old.text()), (200, "hello"));
}

#[test]
fn the_port_s_name_and_the_policy_decide_what_is_spoken() {
    for (port, policy, of_http1, of_http2) in [
        ("http", "", false, false),
        ("http2", "", true, true),
        ("grpc-api", "", true, true),
        ("grpc-web", "", true, true),
        ("tcp-x", "", false, false),
        ("http", "h2UpgradePolicy: UPGRADE", true, true),
        ("http", "h2UpgradePolicy: DO_NOT_UPGRADE", false, false),
        ("http", "useClientProtocol: true", false, true),
        ("http2", "useClientProtocol: true", false, true),
        ("http2", "h2UpgradePolicy: DO_NOT_UPGRADE", true, true),
    ] {
        let http1 = harness::http::backend::Backend::saying("one");
        let http2 = Http2Backend::saying("two");
        let mut gateway = None;
        let mut said = Vec::new();
        for (from_http2, speaks) in [(false, of_http1), (true, of_http2)] {
            let address = if speaks { http2.address() } else { http1.address() };
            let mut objects =
                routes("  - route: [{destination: {host: backend}}]") + &service_called("backend", port, &[address]);
            if !policy.is_empty() {
                objects += &format!(
                    "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: backend}}\nspec: \
                     {{host: backend, trafficPolicy: {{connectionPool: {{http: {{{policy}}}}}}}}}\n"
                );
            }
            let gateway = gateway.insert(Gateway::start(&objects));
            said.push(if from_http2 {
                Http2Client::connect(gateway.address()).ask(request("GET", "http://a/", &[])).expect("an answer").body
            } else {
                gateway.connect().exchange(get("a", "/")).body
            });
        }
        let expected = [of_http1, of_http2].map(|is_http2| if is_http2 { b"two".to_vec() } else { b"one".to_vec() });
        assert_eq!(said, expected, "port {port}, {policy:?}");
    }
}

#[test]
fn limits_hold_for_streams_as_for_requests() {
    let gate = Arc::new(Semaphore::new(0));
    let backend = gated(&gate, |_path| "ok".to_owned());
    let rule = "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: backend}\nspec:\n  \
                host: backend\n  trafficPolicy:\n    connectionPool:\n      tcp: {maxConnections: 1}\n      http: {http2MaxRequests: 5, \
                h2UpgradePolicy: UPGRADE, maxConcurrentStreams: 3}\n";
    let mut gateway = Gateway::start(&(http2_to(&[backend.address()], "") + rule));
    let client = Http2Client::connect(gateway.address());
    let begun: Vec<Begun> = (0..5).map(|_| client.begin(request("GET", "http://a/", &[]))).collect();
    wait::until("all under way", PATIENCE, || (gateway.in_flight() == 5).then_some(()));
    let too_much = client.ask(request("GET", "http://a/", &[])).expect("an answer");
    assert_eq!((too_much.status(), too_much.field("x-envoy-overloaded")), (503, Some("true")));
    gate.add_permits(1);
    for begun in begun {
        assert_eq!(client.wait(read(begun.response)).expect("an answer").status(), 200);
    }
    assert_eq!(backend.connections(), 1);
}

#[test]
fn a_connection_that_gives_no_sign_of_life_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("address");
    let mute = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        // Reads everything and says nothing, until the gateway has had enough.
        let mut said = Vec::new();
        let _gone = stream.read_to_end(&mut said).is_ok();
        said
    });
    let rule = "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: backend}\nspec:\n  \
                host: backend\n  trafficPolicy:\n    connectionPool:\n      http: {h2UpgradePolicy: UPGRADE, http2KeepAlive: \
                {interval: 0.2s, timeout: 0.2s}}\n";
    let gateway = Gateway::start(&(http2_to(&[address], "\n    retries: {attempts: 0}") + rule));
    let answer = gateway.connect().exchange("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n");
    assert_eq!(answer.status(), 503);
    let said = mute.join().expect("no panic");
    let is_ping = |window: &[u8]| window == [0, 0, 8, frames::PING, 0, 0, 0, 0, 0];
    assert!(said.windows(9).any(is_ping), "it was asked");
}
