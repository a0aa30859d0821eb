//! The end of a gateway, in order.

use crate::gateway::{Gateway, everything_to};
use harness::{
    http::{
        backend::{Backend, Then},
        client::{Client, get},
    },
    wait,
};
use std::{
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

const LIMIT: Duration = Duration::from_secs(10);

/// A backend that answers `/slow` only when told to.
fn slow() -> (Backend, std::sync::mpsc::Sender<()>) {
    let (go_on, wait_for_test) = std::sync::mpsc::channel::<()>();
    let wait_for_test = parking_lot::Mutex::new(wait_for_test);
    let backend = Backend::start(move |exchange| {
        if exchange.request.target() == "/slow" {
            // The end of the test is as good a word as any.
            let _told = wait_for_test.lock().recv_timeout(LIMIT).is_ok();
        }
        exchange.respond("200 OK", &[], b"done")
    });
    (backend, go_on)
}

#[test]
fn not_ready_comes_first_then_clients_are_asked_to_leave_then_the_port_closes() {
    let backend = Backend::saying("served");
    let gateway = Gateway::with(&everything_to(backend.address()), |settings| {
        settings.drain.announce = Duration::from_secs(8);
        settings.drain.deadline = Duration::from_secs(5);
    });
    assert!(gateway.readiness.is_ready());
    let mut idle = gateway.connect();
    assert_eq!(idle.exchange(get("a", "/")).field("connection"), None);
    gateway.begin_drain();
    wait::until("not ready", LIMIT, || (!gateway.readiness.is_ready()).then_some(()));
    let asked = wait::until("asked to leave", LIMIT, || {
        // New connections come in all the time.
        let response = gateway.connect().exchange(get("a", "/"));
        assert_eq!(response.text(), "served");
        response.field("connection").map(str::to_owned)
    });
    assert_eq!(asked, "close");
    let response = idle.exchange(get("a", "/"));
    assert_eq!(response.field("connection"), Some("close"), "a connection at rest is still served, and asked as well");
    wait::until("the port is closed", LIMIT, || TcpStream::connect(gateway.address()).err());
}

#[test]
fn a_connection_that_has_been_established_is_served_to_the_last() {
    let backend = Backend::saying("served");
    let mut gateway = Gateway::with(&everything_to(backend.address()), |settings| settings.drain.deadline = LIMIT);
    let address = gateway.address();
    let served: usize = thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(move || {
                    let mut served = 0;
                    // Until the port is closed.
                    while let Ok(stream) = TcpStream::connect(address) {
                        let mut client = Client::of(stream);
                        assert_eq!(client.exchange(get("a", "/")).text(), "served");
                        served += 1;
                    }
                    served
                })
            })
            .collect();
        wait::until("a queue of clients", LIMIT, || (backend.requests().len() > 100).then_some(()));
        gateway.begin_drain();
        clients.into_iter().map(|client| client.join().expect("no request failed")).sum()
    });
    assert_eq!(served, backend.requests().len());
    gateway.ended();
}

#[test]
fn requests_in_flight_finish_and_connections_close() {
    let (backend, go_on) = slow();
    let mut gateway = Gateway::with(&everything_to(backend.address()), |settings| {
        settings.drain.deadline = LIMIT;
    });
    let mut busy = gateway.connect();
    busy.send(get("a", "/slow"));
    let mut idle = gateway.connect();
    assert_eq!(idle.exchange(get("a", "/")).status(), 200);
    wait::until("both asked", LIMIT, || (backend.requests().len() == 2).then_some(()));

    gateway.begin_drain();
    wait::until("the port is closed", LIMIT, || TcpStream::connect(gateway.address()).err());
    let response = idle.exchange(get("a", "/"));
    assert_eq!(response.status(), 200, "a request that was on its way is served");
    assert_eq!(response.field("connection"), Some("close"));
    assert!(idle.is_closed());

    go_on.send(()).expect("the backend waits");
    let response = busy.response();
    assert_eq!(response.text(), "done");
    assert_eq!(response.field("connection"), Some("close"));
    let began = Instant::now();
    gateway.ended();
    assert!(began.elapsed() < LIMIT / 2, "nothing was left to wait for");
}

#[test]
fn connections_at_rest_do_not_hold_the_drain_up() {
    let backend = Backend::saying("");
    let mut gateway = Gateway::with(&everything_to(backend.address()), |settings| settings.drain.deadline = LIMIT * 3);
    let mut client = gateway.connect();
    assert_eq!(client.exchange(get("a", "/")).status(), 200);
    let began = Instant::now();
    gateway.begin_drain();
    assert!(client.is_closed());
    gateway.ended();
    assert!(began.elapsed() < LIMIT, "took {:?}", began.elapsed());
}

#[test]
fn the_deadline_cuts_what_is_left() {
    let (backend, _go_on) = slow();
    let mut gateway = Gateway::with(&everything_to(backend.address()), |settings| {
        settings.drain.deadline = Duration::from_millis(300);
    });
    let mut client = gateway.connect();
    client.send(get("a", "/slow"));
    wait::until("asked", LIMIT, || (!backend.requests().is_empty()).then_some(()));
    gateway.begin_drain();
    gateway.ended();
    assert!(client.is_closed());
}

#[test]
fn ports_taken_by_others_are_said_and_tried_again() {
    let backend = Backend::saying("mine now");
    let first = Gateway::start(&everything_to(backend.address()));
    // Another process without SO_REUSEPORT holds the port that a second Gateway object asks for.
    let taken = std::net::TcpListener::bind((first.address().ip(), 0)).expect("bind");
    let port = taken.local_addr().expect("address").port();
    let mut first = first;
    first.apply(&format!(
        "
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: second}}
spec:
  selector: {{istio: ingressgateway}}
  servers:
  - port: {{number: {port}, name: http, protocol: HTTP}}
    hosts: ['*']
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: second}}
spec:
  hosts: ['*']
  gateways: [second]
  http: [{{route: [{{destination: {{host: backend}}}}]}}]
"
    ));
    let problem = wait::until("the problem is said", LIMIT, || first.problems.list().pop());
    assert_eq!(problem.object.expect("names it").to_string(), "Gateway default/second");
    assert!(problem.message.contains(&format!(":{port}")), "{}", problem.message);
    assert_eq!(first.connect().exchange(get("a", "/")).status(), 200, "nothing else is affected");

    drop(taken);
    wait::until("no problem is left", LIMIT, || first.problems.list().is_empty().then_some(()));
    let address = std::net::SocketAddr::new(first.address().ip(), port);
    assert_eq!(harness::http::client::Client::connect(address).exchange(get("a", "/")).text(), "mine now");
}

#[test]
fn tunnels_end_at_the_deadline() {
    let backend = Backend::start(|exchange| {
        exchange.send("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")?;
        let _ended = std::io::Read::read(exchange.stream, &mut [0]).is_ok();
        Ok(Then::Close)
    });
    let mut gateway = Gateway::start(&everything_to(backend.address()));
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n");
    assert_eq!(client.head().status(), 101);
    gateway.begin_drain();
    gateway.ended();
    assert!(client.is_closed());
}
