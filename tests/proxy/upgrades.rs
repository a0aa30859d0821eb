//! Protocol switches.

use crate::gateway::{Gateway, everything_to};
use harness::http::{
    backend::{Backend, Then},
    client::Client,
};
use std::{
    io::{self, Read as _},
    net::Shutdown,
};

const ASK: &str = "GET /chat HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: WebSocket\r\n\
                   sec-websocket-key: x\r\n\r\n";

/// Switches, greets, and sends everything back until the client has ended its side.
fn switching() -> Backend {
    Backend::start(|exchange| {
        exchange.send(
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-accept: y\r\n\r\nhello",
        )?;
        loop {
            let mut piece = [0; 4096];
            let length = exchange.stream.read(&mut piece)?;
            if length == 0 {
                exchange.send("bye")?;
                return Ok(Then::Close);
            }
            exchange.send(&piece[..length])?;
        }
    })
}

fn ask(client: &mut Client, early: &str) {
    let response = {
        client.send(format!("{ASK}{early}"));
        client.head()
    };
    assert_eq!(response.status(), 101);
    assert_eq!(response.field("upgrade"), Some("websocket"));
    assert_eq!(response.field("connection"), Some("upgrade"));
    assert_eq!(response.field("sec-websocket-accept"), Some("y"));
}

#[test]
fn bytes_pass_both_ways_after_the_backends_101() {
    let backend = switching();
    let gateway = Gateway::start(&everything_to(backend.address()));
    let mut client = gateway.connect();
    ask(&mut client, "");
    let mut greeting = [0; 5];
    client.read_exact(&mut greeting);
    assert_eq!(&greeting, b"hello");
    for length in [1, 1000, 100_000] {
        let sent: Vec<u8> = (0..length).map(|index: usize| index.to_le_bytes()[0]).collect();
        client.send(&sent);
        let mut echoed = vec![0; length];
        client.read_exact(&mut echoed);
        assert!(echoed == sent);
    }
    client.finish_sending();
    assert_eq!(client.rest().expect("an orderly end"), b"bye", "each side ends for itself");
    let request = backend.only_request();
    assert_eq!(request.field("connection"), Some("upgrade"));
    assert_eq!(request.field("upgrade"), Some("websocket"));
    assert_eq!(request.field("sec-websocket-key"), Some("x"));
}

#[test]
fn what_the_client_sends_early_is_not_lost() {
    let backend = switching();
    let gateway = Gateway::start(&everything_to(backend.address()));
    let mut client = gateway.connect();
    ask(&mut client, "early");
    let mut all = [0; 10];
    client.read_exact(&mut all);
    assert_eq!(&all, b"helloearly");
}

#[test]
fn a_backend_that_does_not_switch_just_answers() {
    let backend = Backend::start(|exchange| exchange.respond("426 Upgrade Required", &[("upgrade", "x")], b"no"));
    let gateway = Gateway::start(&everything_to(backend.address()));
    let mut client = gateway.connect();
    for _ in 0..2 {
        let response = client.exchange(ASK);
        assert_eq!((response.status(), response.text()), (426, "no"));
    }
}

#[test]
fn only_websocket_is_switched_to() {
    let backend = Backend::saying("plain");
    let gateway = Gateway::start(&everything_to(backend.address()));
    let ask =
        |protocol: &str| format!("GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: {protocol}\r\n\r\n");
    let refused = gateway.connect().exchange(ask("spdy/3"));
    assert_eq!((refused.status(), refused.field("connection")), (403, Some("close")));
    let response = gateway.connect().exchange(ask("h2c"));
    assert_eq!(response.text(), "plain", "as if the client had not asked");
    assert_eq!(backend.only_request().field("upgrade"), None);
}

#[test]
fn a_switch_nobody_asked_for_is_an_error() {
    let backend = Backend::start(|exchange| {
        exchange.send("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")?;
        Ok(Then::KeepOpen)
    });
    let gateway = Gateway::start(&everything_to(backend.address()));
    assert_eq!(gateway.connect().exchange("GET / HTTP/1.1\r\nhost: a\r\n\r\n").status(), 502);
}

#[test]
fn a_client_that_vanishes_ends_the_backends_side() {
    let (ended, end) = std::sync::mpsc::channel();
    let backend = Backend::start(move |exchange| {
        exchange.send("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")?;
        let result: io::Result<usize> = exchange.stream.read(&mut [0]);
        ended.send(matches!(result, Ok(0) | Err(_))).expect("the test waits");
        exchange.stream.get_ref().shutdown(Shutdown::Both)?;
        Ok(Then::Close)
    });
    let gateway = Gateway::start(&everything_to(backend.address()));
    let mut client = gateway.connect();
    client.send(ASK);
    assert_eq!(client.head().status(), 101);
    drop(client);
    assert!(end.recv_timeout(std::time::Duration::from_secs(10)).expect("the end arrives"));
}
