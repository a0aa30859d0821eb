//! What one client may cost.

use crate::gateway::{Gateway, everything_to};
use harness::{
    http::{
        backend::Backend,
        client::{Client, get},
    },
    objects::routes,
    wait,
};
use std::{
    io::{self, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

const SOON: Duration = Duration::from_millis(200);

#[test]
fn heads_beyond_the_limit_get_431() {
    let backend = Backend::saying("");
    let gateway = Gateway::start(&everything_to(backend.address()));
    let head = |bytes: usize| format!("GET / HTTP/1.1\r\nhost: a\r\nx-long: {}\r\n\r\n", "x".repeat(bytes));
    assert_eq!(gateway.connect().exchange(head(50_000)).status(), 200);
    let mut client = gateway.connect();
    // The gateway may answer and close before it has read everything.
    let _sent = client.try_send(head(70_000)).is_ok();
    let response = client.response();
    assert_eq!((response.status(), response.field("connection")), (431, Some("close")));
    let many: String = (0..101).map(|number| format!("x-{number}: 1\r\n")).collect();
    assert_eq!(gateway.connect().exchange(format!("GET / HTTP/1.1\r\n{many}\r\n")).status(), 431);
    assert_eq!(backend.requests().len(), 1);
}

#[test]
fn targets_beyond_the_limit_get_414() {
    let backend = Backend::saying("");
    let gateway = Gateway::start(&everything_to(backend.address()));
    let mut client = gateway.connect();
    assert_eq!(client.exchange(get("a", &format!("/{}", "x".repeat(8000)))).status(), 200);
    assert_eq!(client.exchange(get("a", &format!("/{}", "x".repeat(9000)))).status(), 414);
    assert_eq!(client.exchange(get("a", "/")).status(), 200, "the connection lives");
}

#[test]
fn long_heads_are_answered_at_once_one_after_the_other() {
    let backend = Backend::saying("");
    let gateway = Gateway::start(&everything_to(backend.address()));
    let mut client = gateway.connect();
    let began = Instant::now();
    for length in [7000, 8000, 8100, 9000, 9000, 9000, 20_000, 20_000, 9000, 50_000, 50_000, 100, 50_000, 9000, 9000] {
        let head = format!("GET / HTTP/1.1\r\nhost: a\r\nx-long: {}\r\n\r\n", "x".repeat(length));
        assert_eq!(client.exchange(&head).status(), 200, "{length} bytes");
        // And as many without waiting for the answers.
        client.send(head.repeat(5));
        (0..5).for_each(|_| assert_eq!(client.response().status(), 200, "{length} bytes"));
    }
    // Whoever has to wait for the sweep waits for half a second.
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
}

#[test]
fn a_head_that_does_not_end_gets_408() {
    let backend = Backend::saying("");
    let gateway = Gateway::with(&everything_to(backend.address()), |settings| settings.limits.head_timeout = SOON);
    let mut client = gateway.connect();
    assert_eq!(client.exchange(get("a", "/")).status(), 200);
    let began = Instant::now();
    client.send("GET / HTTP/1.1\r\nhost: a\r\n");
    let response = client.response();
    assert_eq!(response.status(), 408);
    assert_eq!(response.field("connection"), Some("close"));
    assert!(began.elapsed() >= SOON, "not before its time");
    assert!(client.is_closed());
}

#[test]
fn a_head_in_pieces_is_a_head() {
    let backend = Backend::start(|exchange| {
        exchange.read_body()?;
        exchange.respond("200 OK", &[], b"whole")
    });
    let gateway = Gateway::start(&everything_to(backend.address()));
    let mut client = gateway.connect();
    let head = format!("\r\nPOST /p HTTP/1.1\r\nhost: a\r\nx: {}\r\ncontent-length: 4\r\n\r\n", "y".repeat(9000));
    for round in 0..3 {
        // Broken off at many places, also within its ends of lines; the next head follows in the same piece.
        let bytes = format!("{head}body{}", &head[..20]);
        let (mut pieces, mut sent) = ((1..40).cycle().skip(round), if round == 0 { 0 } else { 20 });
        while sent < bytes.len() {
            let next = bytes.len().min(sent + pieces.next().expect("a cycle"));
            client.send(&bytes[sent..next]);
            sent = next;
        }
        let response = client.response();
        assert_eq!((response.status(), response.text()), (200, "whole"));
    }
    let requests = backend.requests();
    assert!(requests.iter().all(|request| request.target() == "/p"), "{requests:?}");
    assert!(requests.iter().all(|request| request.field("x").is_some_and(|x| x.len() == 9000)), "{requests:?}");
}

#[test]
fn what_is_wrong_with_a_head_in_pieces_is_said_at_its_end() {
    let backend = Backend::saying("");
    let gateway = Gateway::start(&everything_to(backend.address()));
    let mut client = gateway.connect();
    ["GET / HT", "TP/1.1\r\nho", "st : a\r\n", "\r\n"].iter().for_each(|piece| client.send(piece));
    assert_eq!(client.response().status(), 400);
    assert!(client.is_closed());
    // Its end is that of the connection.
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.1\r\n");
    client.finish_sending();
    assert!(client.is_closed());
    assert!(backend.requests().is_empty());
}

/// The time of a head is one, in however many pieces it comes.
#[test]
fn pieces_of_a_head_do_not_begin_its_time_anew() {
    let backend = Backend::saying("");
    let gateway = Gateway::with(&everything_to(backend.address()), |settings| settings.limits.head_timeout = SOON);
    let mut client = gateway.connect();
    let began = Instant::now();
    client.send("GET / HTTP/1.1\r\nhost: a\r\n");
    let (_sender, pause) = std::sync::mpsc::channel::<()>();
    wait::until("the end of the head's time", Duration::from_secs(30), || {
        assert!(pause.recv_timeout(SOON / 10).is_err());
        client.try_send("x: y\r\n").is_err().then_some(())
    });
    assert!(began.elapsed() >= SOON, "not before its time");
    assert!(backend.requests().is_empty());
}

#[test]
fn a_body_that_stands_still_gets_408() {
    let backend = Backend::start(|exchange| {
        exchange.read_body()?;
        exchange.respond("200 OK", &[], b"")
    });
    let gateway = Gateway::with(&everything_to(backend.address()), |settings| settings.limits.body_idle_timeout = SOON);
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhalf");
    let response = client.response();
    assert_eq!(response.status(), 408);
    assert_eq!(response.text(), "stream timeout");
    assert!(client.is_closed());
    wait::until("counted", Duration::from_secs(5), || {
        (gateway.metric("istio_requests_total", &["response_code=\"408\"", "\"SI\""]) == 1.).then_some(())
    });
}

#[test]
fn a_slow_backend_is_not_the_clients_fault() {
    let (go_on, wait_for_test) = std::sync::mpsc::channel::<()>();
    let wait_for_test = parking_lot::Mutex::new(wait_for_test);
    let backend = Backend::start(move |exchange| {
        wait_for_test.lock().recv_timeout(Duration::from_secs(10)).expect("the test goes on");
        exchange.respond("200 OK", &[], b"late")
    });
    let gateway = Gateway::with(&everything_to(backend.address()), |settings| {
        settings.limits.body_idle_timeout = SOON;
        settings.limits.head_timeout = SOON;
        settings.limits.keep_alive_timeout = SOON;
    });
    let mut client = gateway.connect();
    client.send(get("a", "/"));
    assert!(client.is_silent_for(SOON * 3), "no timeout of the client's applies");
    go_on.send(()).expect("the backend waits");
    assert_eq!(client.response().text(), "late");
}

#[test]
fn a_connection_at_rest_is_closed_in_time() {
    let backend = Backend::saying("");
    let gateway =
        Gateway::with(&everything_to(backend.address()), |settings| settings.limits.keep_alive_timeout = SOON);
    let mut client = gateway.connect();
    assert_eq!(client.exchange(get("a", "/")).status(), 200);
    assert!(client.is_closed());
    assert!(gateway.connect().is_closed(), "one that never asked anything, too");
}

/// The connection to the backend must not be held for somebody who takes nothing.
#[test]
fn an_answer_that_nobody_takes_is_cut() {
    const MANY: usize = 64 << 20;
    let backend = Backend::start(|exchange| exchange.respond("200 OK", &[], &vec![b'x'; MANY]));
    let mut gateway =
        Gateway::with(&everything_to(backend.address()), |settings| settings.limits.answer_idle_timeout = SOON);
    let mut client = gateway.connect();
    client.send(get("a", "/"));
    assert_eq!(client.head().status(), 200);
    wait::until("the end of the exchange", Duration::from_secs(30), || (gateway.in_flight() == 0).then_some(()));
    let rest = client.rest().unwrap_or_default();
    assert!(rest.len() < MANY, "all of it has come");
}

/// Small answers are with HTTP as soon as they are there, and wait there for the client.
#[test]
fn small_answers_that_nobody_takes_are_cut() {
    let backend = Backend::saying("small");
    let gateway =
        Gateway::with(&everything_to(backend.address()), |settings| settings.limits.answer_idle_timeout = SOON);
    let mut deaf = TcpStream::connect(gateway.address()).expect("a connection");
    deaf.set_nonblocking(true).expect("an option");
    let requests = get("a", "/").repeat(1000);
    // In whole and in part, for as long as anything is taken.
    let mut sent = 0;
    wait::until("the end of the connection", Duration::from_secs(60), || {
        loop {
            match deaf.write(&requests.as_bytes()[sent % requests.len()..]) {
                Ok(length) => sent += length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
                Err(_closed) => return Some(()),
            }
        }
    });
}

/// A body that does not come and an answer that nobody takes: each waits for the other.
#[test]
fn an_answer_that_nobody_takes_is_cut_while_the_body_is_not_there() {
    const MANY: usize = 64 << 20;
    let backend = Backend::start(|exchange| exchange.respond("200 OK", &[], &vec![b'x'; MANY]));
    let mut gateway =
        Gateway::with(&everything_to(backend.address()), |settings| settings.limits.body_idle_timeout = SOON);
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n");
    assert_eq!(client.head().status(), 200);
    wait::until("the end of the exchange", Duration::from_secs(30), || (gateway.in_flight() == 0).then_some(()));
}

/// Nothing is said in the middle of an answer, however long the next head takes.
#[test]
fn a_head_that_does_not_end_does_not_end_the_answer_before_it() {
    let backend = Backend::start(|exchange| {
        let length = exchange.request.target().trim_start_matches('/').parse().expect("a length");
        exchange.respond("200 OK", &[], &vec![b'x'; length])
    });
    let gateway = Gateway::with(&everything_to(backend.address()), |settings| settings.limits.head_timeout = SOON);
    // Of some of them the end waits in a buffer of HTTP, for which the kernel's have no room.
    let lengths = (1..=160).map(|number| number * 40_000);
    let mut clients: Vec<(usize, Client)> = lengths
        .map(|length: usize| {
            let mut client = gateway.connect();
            client.send(get("a", &format!("/{length}")));
            assert_eq!(client.head().status(), 200);
            (length, client)
        })
        .collect();
    clients.iter_mut().for_each(|(_, client)| client.send("GET /1 HT"));
    let (_sender, pause) = std::sync::mpsc::channel::<()>();
    assert!(pause.recv_timeout(SOON * 3).is_err());
    for (length, client) in &mut clients {
        let mut body = vec![0; *length];
        client.read_exact(&mut body);
        assert!(body.iter().all(|&byte| byte == b'x'), "of {length} bytes some are others");
    }
}

/// The rest of a body that nobody has asked for is no head.
#[test]
fn a_body_that_nobody_reads_is_no_head() {
    let gateway = Gateway::with(&routes("  - directResponse: {status: 404}"), |settings| {
        settings.limits.head_timeout = SOON;
    });
    for length in [1, 5_000, 8_000, 9_000, 12_000, 15_000] {
        let mut client = gateway.connect();
        let body = "y".repeat(length);
        client.send(format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n{body}"));
        assert_eq!(client.response().status(), 404);
        assert!(client.is_silent_for(SOON * 3), "{length} bytes");
        assert_eq!(client.exchange(get("a", "/")).status(), 404, "{length} bytes");
    }
}

/// Who reads slowly, but reads, is served to the end.
#[test]
fn a_slow_reader_is_served() {
    const MANY: usize = 32 << 20;
    let backend = Backend::start(|exchange| exchange.respond("200 OK", &[], &vec![b'x'; MANY]));
    let gateway = Gateway::with(&everything_to(backend.address()), |settings| {
        settings.limits.answer_idle_timeout = Duration::from_secs(3);
    });
    let mut client = gateway.connect();
    client.send(get("a", "/"));
    client.head();
    let (_sender, pause) = std::sync::mpsc::channel::<()>();
    let mut part = vec![0; MANY / 16];
    for _ in 0..16 {
        assert!(pause.recv_timeout(SOON).is_err());
        client.read_exact(&mut part);
    }
    assert_eq!(client.exchange(get("a", "/")).body.len(), MANY, "and the connection lives");
}
