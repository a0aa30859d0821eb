//! Bodies: whole, in pieces, early, late, and not at all.

use crate::gateway::{Gateway, everything_to};
use harness::{
    http::{
        backend::{Backend, Then},
        client::get,
    },
    wait,
};
use std::{
    io::Read as _,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::Duration,
};

const LIMIT: Duration = Duration::from_secs(10);

/// Bytes in which every shift and every loss shows.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|index| u8::try_from((index ^ (index >> 8) ^ (index >> 16)) & 0xff).expect("a byte")).collect()
}

fn echo() -> Backend {
    Backend::start(|exchange| {
        exchange.read_body()?;
        let body = exchange.request.body.clone();
        exchange.respond("200 OK", &[], &body)
    })
}

#[test]
fn bodies_of_every_size_pass_unchanged_both_ways() {
    let backend = echo();
    let gateway = Gateway::start(&everything_to(backend.address()));
    let mut client = gateway.connect();
    for length in [0, 1, 100, 8191, 8192, 8193, 65_536, 1_000_000, 10_000_000] {
        let body = pattern(length);
        client.send(format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n"));
        client.send(&body);
        let response = client.response();
        assert_eq!(response.field("content-length"), Some(&*length.to_string()));
        assert!(response.body == body, "{length} bytes came back changed");
    }
    assert_eq!(backend.connections(), 1);
}

#[test]
fn chunked_bodies_stay_chunked() {
    let backend = Backend::start(|exchange| {
        exchange.read_body()?;
        assert_eq!(exchange.request.field("transfer-encoding"), Some("chunked"));
        let body = String::from_utf8(exchange.request.body.clone()).expect("text");
        exchange.send(format!(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n1\r\n!\r\n0\r\n\r\n",
            body.len()
        ))?;
        Ok(Then::KeepOpen)
    });
    let gateway = Gateway::start(&everything_to(backend.address()));
    let mut client = gateway.connect();
    for method in ["POST", "GET"] {
        let response = client.exchange(format!(
            "{method} / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n"
        ));
        assert_eq!(response.field("transfer-encoding"), Some("chunked"));
        assert_eq!(response.text(), "abcde!");
    }
    assert_eq!(backend.connections(), 1);
}

#[test]
fn announced_trailers_pass_both_ways() {
    let backend = Backend::start(|exchange| {
        exchange.read_body()?;
        exchange.send(
            "HTTP/1.1 200 OK\r\ntrailer: x-sum\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-sum: 7\r\n\r\n",
        )?;
        Ok(Then::KeepOpen)
    });
    let gateway = Gateway::start(&everything_to(backend.address()));
    let response = gateway.connect().exchange(
        "POST / HTTP/1.1\r\nhost: a\r\nte: trailers\r\ntrailer: x-check\r\ntransfer-encoding: chunked\r\n\r\n\
         1\r\na\r\n0\r\nx-check: 9\r\n\r\n",
    );
    assert_eq!(response.trailers, [("x-sum".to_owned(), "7".to_owned())]);
    assert_eq!(backend.only_request().trailers, [("x-check".to_owned(), "9".to_owned())]);
}

#[test]
fn answers_without_a_body_have_none() {
    let backend = Backend::start(|exchange| match exchange.request.target() {
        "/204" => exchange.send("HTTP/1.1 204 No Content\r\nx-a: 1\r\n\r\n").map(|()| Then::KeepOpen),
        "/304" => exchange.send("HTTP/1.1 304 Not Modified\r\netag: \"x\"\r\n\r\n").map(|()| Then::KeepOpen),
        _ => exchange.send("HTTP/1.1 200 OK\r\ncontent-length: 42\r\n\r\n").map(|()| Then::KeepOpen),
    });
    let gateway = Gateway::start(&everything_to(backend.address()));
    let mut client = gateway.connect();
    client.send("HEAD / HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(client.response_to_head().field("content-length"), Some("42"), "that of the GET");
    assert_eq!(client.exchange(get("a", "/204")).field("content-length"), None);
    assert_eq!(client.exchange(get("a", "/304")).field("etag"), Some("\"x\""));
    assert_eq!(backend.connections(), 1, "and the connections stay in step");
}

#[test]
fn a_body_ended_by_the_connection_is_passed_on() {
    let backend = Backend::start(|exchange| {
        exchange.send("HTTP/1.1 200 OK\r\n\r\nuntil the end")?;
        Ok(Then::Close)
    });
    let gateway = Gateway::start(&everything_to(backend.address()));
    let mut client = gateway.connect();
    for _ in 0..2 {
        assert_eq!(client.exchange(get("a", "/")).text(), "until the end");
    }
}

#[test]
fn expect_100_continue_is_answered_here() {
    let backend = echo();
    let gateway = Gateway::start(&everything_to(backend.address()));
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n");
    assert_eq!(client.head().status(), 100);
    assert_eq!(client.exchange("abc").text(), "abc");
    assert_eq!(backend.only_request().field("expect"), None);
}

#[test]
fn pieces_pass_as_they_come() {
    let (go_on, wait_for_client) = mpsc::channel::<()>();
    let wait_for_client = parking_lot::Mutex::new(wait_for_client);
    let backend = Backend::start(move |exchange| {
        exchange.send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nfirst")?;
        wait_for_client.lock().recv_timeout(LIMIT).expect("the client has the first piece");
        exchange.send("later")?;
        Ok(Then::KeepOpen)
    });
    let gateway = Gateway::start(&everything_to(backend.address()));
    let mut client = gateway.connect();
    client.send(get("a", "/"));
    client.head();
    let mut piece = [0; 5];
    client.read_exact(&mut piece);
    assert_eq!(&piece, b"first");
    go_on.send(()).expect("the backend waits");
    client.read_exact(&mut piece);
    assert_eq!(&piece, b"later");
}

#[test]
fn a_slow_reader_holds_the_backend_up() {
    const MANY: usize = 64 << 20;
    let done = Arc::new(AtomicBool::new(false));
    let backend = Backend::start({
        let done = Arc::clone(&done);
        move |exchange| {
            let then = exchange.respond("200 OK", &[], &vec![b'x'; MANY])?;
            done.store(true, Ordering::SeqCst);
            Ok(then)
        }
    });
    let gateway = Gateway::start(&everything_to(backend.address()));
    let mut client = gateway.connect();
    client.send(get("a", "/"));
    client.head();
    // The kernel's buffers on both sides take some megabytes; a gateway that gathers would take all of it by now.
    let (_sender, pause) = mpsc::channel::<()>();
    assert!(pause.recv_timeout(Duration::from_millis(500)).is_err());
    assert!(!done.load(Ordering::SeqCst), "64 MiB went somewhere without a reader");
    let mut body = vec![0; MANY];
    client.read_exact(&mut body);
    wait::until("the backend is through", LIMIT, || done.load(Ordering::SeqCst).then_some(()));
}

#[test]
fn an_answer_before_the_end_of_the_upload_passes() {
    let backend = Backend::start(|exchange| {
        exchange.respond("413 Payload Too Large", &[("connection", "close")], b"too large")?;
        Ok(Then::Close)
    });
    let gateway = Gateway::start(&everything_to(backend.address()));
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100000000\r\n\r\nsome of it");
    let response = client.response();
    assert_eq!(response.status(), 413);
    assert_eq!(response.text(), "too large");
    assert!(client.is_closed(), "where the next request would begin, nobody knows");
}

#[test]
fn a_client_that_leaves_takes_its_request_along() {
    let (seen, saw_end) = mpsc::channel();
    let backend = Backend::start(move |exchange| {
        let mut rest = Vec::new();
        let ended = exchange.stream.read_to_end(&mut rest);
        seen.send(ended.is_ok()).expect("the test waits");
        Ok(Then::Close)
    });
    let gateway = Gateway::start(&everything_to(backend.address()));
    let mut client = gateway.connect();
    client.send(get("a", "/"));
    wait::until("the request arrives", LIMIT, || (!backend.requests().is_empty()).then_some(()));
    drop(client);
    saw_end.recv_timeout(LIMIT).expect("the backend's connection ends");
    wait::until("counted", LIMIT, || {
        (gateway.metric("istio_requests_total", &["response_flags=\"DC\""]) > 0.).then_some(())
    });
}

#[test]
fn uploads_pass_as_they_come() {
    let (seen, first_seen) = mpsc::channel();
    let backend = Backend::start(move |exchange| {
        let mut piece = [0; 5];
        exchange.stream.read_exact(&mut piece)?;
        seen.send(piece).expect("the test waits");
        exchange.stream.read_exact(&mut piece)?;
        exchange.respond("200 OK", &[], &piece)
    });
    let gateway = Gateway::start(&everything_to(backend.address()));
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nfirst");
    assert_eq!(&first_seen.recv_timeout(LIMIT).expect("the first piece arrives alone"), b"first");
    assert_eq!(client.exchange("later").text(), "later");
}
