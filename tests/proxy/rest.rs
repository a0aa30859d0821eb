//! Connections of clients that do nothing for a while: nothing of HTTP is kept for them, and nobody notices.

use crate::gateway::{Gateway, everything_to};
use harness::{
    http::{
        backend::Backend,
        client::{Client, get},
    },
    wait,
};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);

/// Longer than it takes to come to rest.
const A_WHILE: Duration = Duration::from_secs(2);

fn until_resting(gateway: &Gateway, connections: f64) {
    wait::until("the connections to rest", PATIENCE, || {
        (gateway.metric("gateway_downstream_resting_connections", &[]) == connections).then_some(())
    });
}

fn post(body: &str) -> String {
    format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

#[test]
fn a_connection_that_rests_is_served_again() {
    let backend = Backend::start(|exchange| {
        exchange.read_body()?;
        let body = exchange.request.body.clone();
        exchange.respond("200 OK", &[], &body)
    });
    let gateway = Gateway::start(&everything_to(backend.address()));
    let mut clients: Vec<Client> = (0..5).map(|_| gateway.connect()).collect();
    until_resting(&gateway, 5.);
    for turn in 0..2 {
        for (number, client) in clients.iter_mut().enumerate() {
            assert_eq!(client.exchange(get("a", "/")).status(), 200);
            let body = format!("body {turn} of {number}");
            assert_eq!(client.exchange(post(&body)).text(), body);
        }
        until_resting(&gateway, 5.);
    }
    assert_eq!(backend.requests().len(), 20);
    drop(clients);
    until_resting(&gateway, 0.);
}

#[test]
fn a_request_may_come_in_pieces_after_a_rest() {
    let backend = Backend::saying("hello");
    let gateway = Gateway::start(&everything_to(backend.address()));
    let mut client = gateway.connect();
    assert_eq!(client.exchange(get("a", "/")).status(), 200);
    until_resting(&gateway, 1.);
    let request = post("0123456789");
    for piece in request.as_bytes().chunks(7) {
        client.send(piece);
    }
    assert_eq!(client.response().text(), "hello");
    assert_eq!(backend.requests().len(), 2);
}

#[test]
fn the_beginning_of_a_request_is_not_forgotten() {
    let backend = Backend::saying("hello");
    let gateway = Gateway::start(&everything_to(backend.address()));
    let mut client = gateway.connect();
    // The second request's beginning has been read with the first.
    let second = get("a", "/second");
    let (beginning, end) = second.split_at(10);
    client.send(format!("{}{beginning}", get("a", "/first")));
    assert_eq!(client.response().status(), 200);
    assert!(client.is_silent_for(A_WHILE));
    client.send(end);
    assert_eq!(client.response().text(), "hello");
    let targets: Vec<String> = backend.requests().iter().map(|request| request.target().to_owned()).collect();
    assert_eq!(targets, ["/first", "/second"]);
}

#[test]
fn rest_does_not_make_idle_time_longer_or_shorter() {
    let backend = Backend::saying("");
    let limit = A_WHILE + Duration::from_secs(1);
    let gateway =
        Gateway::with(&everything_to(backend.address()), |settings| settings.limits.keep_alive_timeout = limit);
    let mut client = gateway.connect();
    let began = Instant::now();
    assert_eq!(client.exchange(get("a", "/")).status(), 200);
    assert!(client.is_closed());
    assert!(began.elapsed() >= limit, "not before its time");
}

#[test]
fn a_client_that_goes_while_it_rests_is_forgotten() {
    let backend = Backend::saying("");
    let gateway = Gateway::start(&everything_to(backend.address()));
    let clients: Vec<Client> = (0..3).map(|_| gateway.connect()).collect();
    until_resting(&gateway, 3.);
    drop(clients);
    wait::until("the connections to end", PATIENCE, || {
        (gateway.metric("gateway_downstream_connections", &[]) == 0.).then_some(())
    });
}
