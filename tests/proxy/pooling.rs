//! Connections to backends: kept, used again, given up.

use crate::gateway::{Gateway, everything_to, routes, service};
use harness::{
    http::{
        backend::{Backend, Then},
        client::get,
    },
    wait,
};
use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

const LIMIT: Duration = Duration::from_secs(10);

#[test]
fn one_connection_serves_many_clients_in_turn() {
    let backend = Backend::saying("");
    let gateway = Gateway::start(&everything_to(backend.address()));
    for _ in 0..20 {
        assert_eq!(gateway.connect().exchange(get("a", "/")).status(), 200);
    }
    assert_eq!(backend.connections(), 1);
}

#[test]
fn a_connection_the_backend_ends_is_not_used_again() {
    let backend = Backend::start(|exchange| {
        exchange.respond("200 OK", &[("connection", "close")], b"")?;
        Ok(Then::Close)
    });
    let gateway = Gateway::start(&everything_to(backend.address()));
    let mut client = gateway.connect();
    for number in 1..=5 {
        assert_eq!(client.exchange(get("a", "/")).status(), 200);
        assert_eq!(backend.connections(), number);
    }
}

#[test]
fn kept_connections_that_died_fail_no_request() {
    let backend = Backend::saying("");
    let gateway = Gateway::start(&everything_to(backend.address()));
    let mut client = gateway.connect();
    for _ in 0..100 {
        assert_eq!(client.exchange(get("a", "/")).status(), 200);
        backend.close_connections();
    }
}

#[test]
fn a_request_lost_in_a_dying_connection_is_repeated_when_that_is_safe() {
    // Closes every connection at its second request, unanswered: the moment a keep-alive timeout runs out.
    let counter = AtomicUsize::new(0);
    let backend = Backend::start(move |exchange| {
        exchange.read_body()?;
        if counter.fetch_add(1, Ordering::SeqCst) % 2 == 1 {
            Ok(Then::Close)
        } else {
            exchange.respond("200 OK", &[], b"")
        }
    });
    let gateway = Gateway::start(&everything_to(backend.address()));
    let mut client = gateway.connect();
    assert_eq!(client.exchange(get("a", "/first")).status(), 200);
    assert_eq!(client.exchange(get("a", "/second")).status(), 200, "asked again on a new connection");
    assert_eq!(backend.requests().len(), 3);
    let response = client.exchange("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\nx");
    assert_eq!(response.status(), 503, "a POST may have had its effect");
}

#[test]
fn an_endpoint_that_goes_gets_no_new_request_and_finishes_the_old() {
    let (go_on, wait_for_test) = std::sync::mpsc::channel::<()>();
    let wait_for_test = parking_lot::Mutex::new(wait_for_test);
    let leaving = Backend::start(move |exchange| {
        if exchange.request.target() == "/slow" {
            exchange.send("HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nhalf")?;
            wait_for_test.lock().recv_timeout(LIMIT).expect("the test goes on");
            exchange.send("half")?;
            return Ok(Then::KeepOpen);
        }
        exchange.respond("200 OK", &[], b"leaving")
    });
    let staying = Backend::saying("staying");
    let mut gateway = Gateway::start(&everything_to(leaving.address()));
    let mut slow = gateway.connect();
    slow.send(get("a", "/slow"));
    assert_eq!(slow.head().status(), 200);
    let mut client = gateway.connect();
    assert_eq!(client.exchange(get("a", "/")).text(), "leaving");

    gateway.apply(&service("backend", &[staying.address()]));
    for _ in 0..50 {
        assert_eq!(client.exchange(get("a", "/")).text(), "staying");
    }
    go_on.send(()).expect("the backend waits");
    let mut rest = [0; 8];
    slow.read_exact(&mut rest);
    assert_eq!(&rest, b"halfhalf");
    wait::until("its kept connections are closed", LIMIT, || {
        (gateway.metric("gateway_upstream_idle_connections", &[]) == 1.).then_some(())
    });
}

#[test]
fn load_spreads_over_endpoints() {
    let backends: Vec<Backend> = (0..4).map(|_| Backend::saying("")).collect();
    let addresses: Vec<_> = backends.iter().map(Backend::address).collect();
    let yaml = routes("  - route: [{destination: {host: backend}}]") + &service("backend", &addresses);
    let gateway = Gateway::start(&yaml);
    let mut client = gateway.connect();
    for _ in 0..400 {
        assert_eq!(client.exchange(get("a", "/")).status(), 200);
    }
    for backend in &backends {
        let count = backend.requests().len();
        assert!((40..=170).contains(&count), "{count} of 400 at one of four");
    }
}
