//! Backends that are not there, go away, or talk nonsense.

use crate::gateway::{Gateway, everything_to, routes, service};
use harness::{
    http::{
        backend::{Backend, Then},
        client::get,
    },
    wait,
};
use nix::sys::socket::{self, AddressFamily, Backlog, SockFlag, SockType, SockaddrIn};
use std::{
    io::Read as _,
    net::{SocketAddr, SocketAddrV4, TcpListener, TcpStream},
    os::fd::{AsRawFd as _, OwnedFd},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
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

/// A port that answers no handshake, as on a node that has gone: its queue is full and nobody accepts.
struct Silent {
    address: SocketAddr,
    _listener: OwnedFd,
    _queue: Vec<TcpStream>,
}

impl Silent {
    fn start() -> Self {
        let listener =
            socket::socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).expect("socket");
        socket::bind(listener.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, 0)).expect("bind");
        socket::listen(&listener, Backlog::new(0).expect("a backlog")).expect("listen");
        let bound: SockaddrIn = socket::getsockname(listener.as_raw_fd()).expect("address");
        let address = SocketAddr::V4(SocketAddrV4::from(bound));
        let mut queue = Vec::new();
        while let Ok(connection) = TcpStream::connect_timeout(&address, Duration::from_millis(500)) {
            queue.push(connection);
            assert!(queue.len() < 100, "the queue of a listener without backlog has no end");
        }
        Self { address, _listener: listener, _queue: queue }
    }
}

/// A server that ends every connection at once, and counts those on which something had been sent all the same.
fn closing_at_once() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("address");
    let counter = Arc::<AtomicUsize>::default();
    let seen = Arc::clone(&counter);
    // Ends with the process of the tests.
    thread::spawn(move || {
        for connection in listener.incoming() {
            let Ok(mut connection) = connection else { continue };
            let _closed = connection.shutdown(std::net::Shutdown::Write).is_ok();
            if connection.read(&mut [0; 1]).is_ok_and(|count| count > 0) {
                seen.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    (address, counter)
}

#[test]
fn a_closed_port_beside_a_live_one_fails_no_request() {
    const CLIENTS: usize = 8;
    const REQUESTS: usize = 100;
    let backend = Backend::start(|exchange| {
        exchange.read_body()?;
        let body = exchange.request.body.clone();
        exchange.respond("200 OK", &[], &body)
    });
    let yaml =
        routes("  - route: [{destination: {host: backend}}]") + &service("backend", &[nobody(), backend.address()]);
    let gateway = Gateway::start(&yaml);
    thread::scope(|scope| {
        for number in 0..CLIENTS {
            let mut client = gateway.connect();
            scope.spawn(move || {
                for round in 0..REQUESTS {
                    let body = format!("{number}-{round}-").repeat(1 + round * 100);
                    let head = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", body.len());
                    let response = client.exchange(head + &body);
                    assert_eq!(response.status(), 200, "{}", response.text());
                    assert!(response.text() == body, "the body of request {number}-{round} has changed");
                }
            });
        }
    });
    assert_eq!(backend.requests().len(), CLIENTS * REQUESTS, "each reached the backend once");
    let counts =
        backend.requests().iter().filter(|request| request.field("x-envoy-attempt-count") == Some("2")).count();
    assert!(counts > CLIENTS * REQUESTS / 10, "only {counts} met the closed port first");
    let sum = gateway.metric("istio_requests_total", &["response_code=\"200\"", "response_flags=\"-\""]);
    assert_eq!(sum, (CLIENTS * REQUESTS) as f64);
}

#[test]
fn every_endpoint_dead_is_503() {
    let yaml =
        routes("  - route: [{destination: {host: backend}}]") + &service("backend", &[nobody(), nobody(), nobody()]);
    let gateway = Gateway::start(&yaml);
    let response = gateway.connect().exchange(get("a", "/"));
    assert_eq!(response.status(), 503);
    assert!(response.text().ends_with("latest reset reason: remote connection failure"), "{}", response.text());
    assert_eq!(gateway.metric("istio_requests_total", &["response_flags=\"URX,UF\""]), 1.);
}

#[test]
fn an_endpoint_that_does_not_answer_is_left_for_another() {
    let silent = Silent::start();
    let backend = Backend::saying("here");
    let yaml = routes("  - route: [{destination: {host: backend}}]")
        + &service("backend", &[silent.address, backend.address()]);
    let mut gateway = Gateway::with(&yaml, |settings| settings.limits.connect_timeout = Duration::from_millis(200));
    let mut client = gateway.connect();
    for _ in 0..10 {
        assert_eq!(client.exchange("PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\nx").text(), "here");
    }

    gateway.delete(&service("backend", &[silent.address, backend.address()]));
    gateway.apply(&service("backend", &[silent.address]));
    let response = client.exchange(get("a", "/"));
    assert_eq!(response.status(), 503);
    assert_eq!(
        response.text(),
        "upstream connect error or disconnect/reset before headers. retried and the latest reset reason: connection \
         timeout"
    );
    assert_eq!(gateway.metric("istio_requests_total", &["response_flags=\"URX,UF\""]), 1.);
}

/// Pods that go, go together: while a try waits for one of them, the others leave the table.
#[test]
fn a_retry_draws_from_the_endpoints_of_its_own_moment() {
    let silent = [Silent::start(), Silent::start(), Silent::start()];
    let addresses = silent.each_ref().map(|silent| silent.address);
    let backend = Backend::saying("here");
    let yaml = routes("  - route: [{destination: {host: backend}}]") + &service("backend", &addresses);
    let mut gateway = Gateway::with(&yaml, |settings| settings.limits.connect_timeout = Duration::from_secs(2));
    let mut client = gateway.connect();
    let answer = thread::spawn(move || client.exchange(get("a", "/")));
    wait::until("the first try", LIMIT, || (gateway.in_flight() == 1).then_some(()));
    gateway.delete(&service("backend", &addresses));
    gateway.apply(&service("backend", &[backend.address()]));
    let answer = answer.join().expect("an answer");
    assert_eq!((answer.status(), answer.text()), (200, "here"));
    assert_eq!(backend.requests()[0].field("x-envoy-attempt-count"), Some("2"));
}

#[test]
fn what_may_have_been_processed_is_not_repeated() {
    const REQUESTS: usize = 200;
    let (closing, seen) = closing_at_once();
    let backend = Backend::saying("here");
    let yaml =
        routes("  - route: [{destination: {host: backend}}]") + &service("backend", &[closing, backend.address()]);
    let gateway = Gateway::start(&yaml);
    let mut client = gateway.connect();
    let mut failed = 0;
    for _ in 0..REQUESTS {
        let response = client.exchange("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\nx");
        match response.status() {
            200 => {}
            503 => failed += 1,
            other => panic!("{other}"),
        }
    }
    assert_eq!(backend.requests().len(), REQUESTS - failed, "an answer for every request that reached the backend");
    let seen = seen.load(Ordering::SeqCst);
    assert!(seen <= failed, "{seen} were sent to the closing endpoint, but only {failed} failed: some were repeated");
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
