//! The first request of a connection: in pieces, with others behind it, from clients that go, for clients that wait.

use crate::gateway::{Gateway, everything_to};
use harness::{
    http::{
        backend::Backend,
        client::{Client, get},
    },
    wait,
};
use parking_lot::Mutex;
use std::{sync::Arc, time::Duration};

const PATIENCE: Duration = Duration::from_secs(20);

fn until_connected(gateway: &Gateway, connections: f64) {
    wait::until("the clients to be seen as they are", PATIENCE, || {
        (gateway.metric("gateway_downstream_connections", &[]) == connections).then_some(())
    });
}

#[test]
fn a_client_that_goes_before_its_answer_is_missed() {
    let held = Arc::new(Mutex::new(()));
    let backend = Backend::start({
        let held = Arc::clone(&held);
        move |exchange| {
            drop(held.lock());
            exchange.respond("200 OK", &[], b"late")
        }
    });
    let gateway = Gateway::start(&everything_to(backend.address()));
    let holds = held.lock();
    let mut clients: Vec<Client> = (0..3).map(|_| gateway.connect()).collect();
    for client in &mut clients {
        client.send(get("a", "/"));
    }
    wait::until("the requests", PATIENCE, || (backend.connections() == 3).then_some(()));
    until_connected(&gateway, 3.);
    let mut stays = clients.pop().expect("three");
    drop(clients);
    until_connected(&gateway, 1.);
    drop(holds);
    assert_eq!(stays.response().text(), "late");
}

#[test]
fn a_second_request_is_answered_whenever_it_comes() {
    let backend = Backend::saying("hello");
    let gateway = Gateway::start(&everything_to(backend.address()));
    for _ in 0..50 {
        let mut client = gateway.connect();
        assert_eq!(client.exchange(get("a", "/first")).text(), "hello");
        assert_eq!(client.exchange(get("a", "/second")).text(), "hello");
        // Both at once: the other lies in the kernel while the first is answered.
        client.send([get("a", "/third"), get("a", "/fourth")].concat());
        assert_eq!((client.response().status(), client.response().status()), (200, 200));
    }
    let mut both = gateway.connect();
    both.send([get("a", "/first"), get("a", "/second")].concat());
    assert_eq!((both.response().text(), both.response().text()), ("hello", "hello"));
}

#[test]
fn heads_and_bodies_come_whole_however_they_come() {
    let backend = Backend::start(|exchange| {
        exchange.read_body()?;
        let body = exchange.request.body.clone();
        exchange.respond("200 OK", &[], &body)
    });
    let gateway = Gateway::start(&everything_to(backend.address()));
    let body = "0123456789".repeat(10_000);
    let field = "f".repeat(3_000);
    let request = format!("POST / HTTP/1.1\r\nhost: a\r\nx-f: {field}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    for pieces in [&[][..], &[5], &[1_024], &[2_000, 3_100], &[3_200, 50_000]] {
        let mut client = gateway.connect();
        let mut sent = 0;
        for &end in pieces {
            client.send(&request[sent..end]);
            sent = end;
            // Long enough for it to be read by itself, most of the time.
            assert!(client.is_silent_for(Duration::from_millis(20)));
        }
        client.send(&request[sent..]);
        assert_eq!(client.response().text(), body, "in pieces that end at {pieces:?}");
    }
}

#[test]
fn an_answer_that_is_large_comes_whole_to_one_that_takes_it_late() {
    let body = "x".repeat(20 << 20);
    let backend = Backend::forgetful({
        let body = body.clone();
        move |exchange| exchange.respond("200 OK", &[], body.as_bytes())
    });
    let gateway = Gateway::start(&everything_to(backend.address()));
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    wait::until("the request", PATIENCE, || {
        (gateway.metric("gateway_downstream_connections", &[]) == 1. && backend.connections() == 1).then_some(())
    });
    assert!(client.response().text() == body);
    assert!(client.is_closed());
}
