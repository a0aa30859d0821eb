//! Requests of HTTP/2 that would be something else in HTTP/1: each ends on its stream, and no backend hears of it.

use crate::gateway::{Gateway, everything_to};
use harness::{
    http::backend::Backend,
    http2::{
        client::{Http2Client, request},
        frames::{DATA, END_HEADERS, END_STREAM, Frame, Frames, GOAWAY, HEADERS, RST_STREAM, block},
    },
};
use std::sync::mpsc;

/// First byte of the head of an answer: entries of the static table of RFC 7541.
const STATUS_200: u8 = 0x88;
const STATUS_400: u8 = 0x8c;
const STATUS_404: u8 = 0x8d;

const GOOD: [(&str, &str); 4] = [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "a")];

type Fields = Vec<(&'static str, &'static str)>;

/// What follows a head: kind, flags and payload of each frame.
type Rest<'f> = &'f [(u8, u8, &'f [u8])];

/// What is good, with another value of `name`.
fn instead(name: &'static str, value: &'static str) -> Fields {
    GOOD.into_iter().map(|(known, good)| (known, if known == name { value } else { good })).collect()
}

/// What is good, and a field behind it.
fn and(name: &'static str, value: &'static str) -> Fields {
    [&GOOD[..], &[(name, value)]].concat()
}

fn without(name: &str) -> Fields {
    GOOD.into_iter().filter(|(known, _)| *known != name).collect()
}

/// What comes on stream 1 for a request without a body.
fn answer(gateway: &Gateway, fields: &[(&str, &str)]) -> Option<Frame> {
    let mut frames = Frames::connect(gateway.address());
    frames.send(HEADERS, END_HEADERS | END_STREAM, 1, &block(fields)).expect("an open connection");
    frames.next_of(&[HEADERS, RST_STREAM, GOAWAY])
}

/// None of `shapes` gets more than a refusal, and the backend hears only of what is good.
fn assert_refused(shapes: &[Fields]) {
    let backend = Backend::saying("hello");
    let gateway = Gateway::start(&everything_to(backend.address()));
    let is_refusal = |frame: &Frame| frame.kind != HEADERS || frame.payload[0] == STATUS_400;
    let is_let_in = |fields: &&Fields| !answer(&gateway, fields).as_ref().is_none_or(is_refusal);
    let let_in: Vec<&Fields> = shapes.iter().filter(is_let_in).collect();
    assert!(let_in.is_empty(), "{let_in:#?}\n{:#?}", backend.requests());
    let good = answer(&gateway, &instead(":path", "/good")).expect("an answer");
    assert_eq!((good.kind, good.payload[0]), (HEADERS, STATUS_200));
    assert_eq!(backend.only_request().start, "GET /good HTTP/1.1");
}

#[test]
fn what_would_end_a_request_line_is_refused() {
    let mut shapes = vec![
        instead(":method", ""),
        instead(":method", "GET /x HTTP/1.1\r\nx:"),
        instead(":scheme", "ht tp"),
        instead(":scheme", "http\r\n"),
        instead(":path", ""),
        instead(":path", "/ HTTP/1.1\r\nx: 1\r\n\r\nGET /x"),
        instead(":path", "/\u{e9}"),
        // Only a proxy is asked for a whole URL, and only OPTIONS for `*`.
        instead(":path", "a"),
        instead(":path", "a/b"),
        instead(":path", "?a"),
        instead(":path", "http://b/"),
        instead(":authority", "a\r\nx-b: 1"),
        instead(":authority", "a/b"),
        instead(":authority", "a?b"),
        instead(":authority", "a#b"),
        // RFC 9110 §4.2.4.
        instead(":authority", "user@a"),
        instead(":authority", "user:word@a"),
        instead(":authority", "a,b@c"),
    ];
    for (name, values) in [
        (":method", ["G T", "G\rT", "G\nT", "G\0T", "G\tT", "G:T", "G\u{e9}T"]),
        (":path", ["/a b", "/a\rb", "/a\nb", "/a\0b", "/a\tb", "/a\u{b}b", "/a\u{7f}b"]),
        (":authority", ["a b", "a\rb", "a\nb", "a\0b", "a\tb", "a\u{b}b", "a\u{7f}b"]),
        (":path", [" /", "/ ", "\r/", "/\r", "/\n", "\0/", "/\0"]),
        (":authority", [" a", "a ", "\ra", "a\r", "a\n", "\0a", "a\0"]),
    ] {
        shapes.extend(values.map(|value| instead(name, value)));
    }
    assert_refused(&shapes);
}

#[test]
fn what_would_end_a_field_is_refused() {
    let names =
        ["X-Upper", "x-uppeR", "x a", "x:a", "x-a:", ":x", "x\ra", "x\na", "x\0a", "x-a: 1\r\nx-b", "", "x\u{e9}"];
    let values =
        ["1\r", "1\n", "1\0", "\r1", "\n1", "\x001", "1\r\nx-b: 2", "1\nx-b: 2", "1\r\n\r\nGET /x HTTP/1.1\r\n"];
    let shapes: Vec<Fields> =
        names.into_iter().map(|name| and(name, "1")).chain(values.into_iter().map(|value| and("x-a", value))).collect();
    assert_refused(&shapes);
}

#[test]
fn pseudo_fields_are_there_once_and_first() {
    let mut shapes: Vec<Fields> = Vec::new();
    for (name, value) in GOOD {
        // Twice, the same or another.
        shapes.extend([and(name, value), and(name, "/b"), [&[("x-a", "1")], &GOOD[..]].concat()]);
        // Behind a field.
        shapes.push([&without(name)[..], &[("x-a", "1"), (name, value)]].concat());
        if name != ":authority" {
            shapes.push(without(name));
        }
    }
    shapes.extend([and(":unknown", "1"), and(":status", "200"), and(":protocol", "websocket"), and(":", "1")]);
    // Without `:authority` a Host says the same, and as well.
    shapes.push(without(":authority"));
    for host in ["a b", "a\r\nx-b: 1", "a\0", "a/b"] {
        shapes.push([&without(":authority")[..], &[("host", host)]].concat());
    }
    assert_refused(&shapes);
}

/// RFC 9113 §8.2.2: what HTTP/1 says of a connection, HTTP/2 does not say at all.
#[test]
fn fields_of_a_connection_are_refused() {
    let shapes: Vec<Fields> = [
        ("connection", "close"),
        ("connection", "x-a"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("transfer-encoding", "chunked"),
        ("transfer-encoding", "identity"),
        ("upgrade", "websocket"),
        ("upgrade", "h2c"),
        ("te", "gzip"),
        ("te", "trailers, chunked"),
    ]
    .into_iter()
    .map(|(name, value)| and(name, value))
    .collect();
    assert_refused(&shapes);
}

#[test]
fn lengths_that_are_none_are_refused() {
    let mut shapes: Vec<Fields> = ["1", "", "-1", "+0", "0x0", "0, 0", "0 ", "a", "99999999999999999999", "1\r\n"]
        .into_iter()
        .map(|value| and("content-length", value))
        .collect();
    shapes.push([&GOOD[..], &[("content-length", "0"), ("content-length", "5")]].concat());
    shapes.push([&GOOD[..], &[("content-length", "5"), ("content-length", "0")]].concat());
    assert_refused(&shapes);
}

/// One that is said twice is one (RFC 9110 §8.6), also for those who would not understand two.
#[test]
fn a_length_that_is_said_twice_is_said_once() {
    let backend = Backend::saying("hello");
    let gateway = Gateway::start(&everything_to(backend.address()));
    let mut frames = Frames::connect(gateway.address());
    let fields = [&instead(":method", "POST")[..], &[("content-length", "4"), ("content-length", "4")]].concat();
    frames.send(HEADERS, END_HEADERS, 1, &block(&fields)).expect("an open connection");
    frames.send(DATA, END_STREAM, 1, b"body").expect("an open connection");
    let answer = frames.next_of(&[HEADERS, RST_STREAM, GOAWAY]).expect("an answer");
    assert_eq!((answer.kind, answer.payload[0]), (HEADERS, STATUS_200));
    let asked = backend.only_request();
    assert_eq!((asked.values("content-length"), asked.text()), (vec!["4"], "body"));
}

#[test]
fn a_star_finds_no_route() {
    let backend = Backend::saying("hello");
    let gateway = Gateway::start(&everything_to(backend.address()));
    for method in ["OPTIONS", "GET"] {
        let fields = [(":method", method), (":scheme", "http"), (":path", "*"), (":authority", "a")];
        let frame = answer(&gateway, &fields).expect("an answer");
        assert_eq!((frame.kind, frame.payload[0]), (HEADERS, STATUS_404), "{method}");
    }
    assert!(backend.requests().is_empty());
}

/// A backend may have heard of the head; what it never hears is the end, or more than the end.
#[test]
fn a_request_that_is_not_as_long_as_it_says_is_never_whole() {
    const SMUGGLED: &[u8] = b"GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n";
    let trailers = block(&[(":path", "/smuggled")]);
    // Those that fall short, and those that go on when all that was announced has come.
    let short: [(&str, Rest<'_>); 4] = [
        ("5", &[(DATA, END_STREAM, b"1234")]),
        ("5", &[(DATA, 0, b"1234"), (DATA, END_STREAM, b"")]),
        ("5", &[(DATA, 0, b"1234"), (HEADERS, END_HEADERS | END_STREAM, &[])]),
        ("5", &[(DATA, 0, b"1234"), (DATA, END_STREAM, SMUGGLED)]),
    ];
    let long: [(&str, Rest<'_>); 3] = [
        ("0", &[(DATA, END_STREAM, SMUGGLED)]),
        ("4", &[(DATA, 0, b"1234"), (DATA, END_STREAM, SMUGGLED)]),
        ("4", &[(DATA, 0, b"1234"), (HEADERS, END_HEADERS | END_STREAM, &trailers)]),
    ];
    let (read, ends) = mpsc::channel();
    let backend = Backend::start(move |exchange| {
        let whole = exchange.read_body();
        // The test may be over.
        let _sent = read.send((exchange.request.start.clone(), whole.is_ok(), exchange.request.body.clone())).is_ok();
        whole?;
        exchange.respond("200 OK", &[], b"")
    });
    let gateway = Gateway::start(&everything_to(backend.address()));
    for (length, rest) in short.iter().chain(&long) {
        let mut frames = Frames::connect(gateway.address());
        let fields = [&instead(":method", "POST")[..], &[("content-length", length)]].concat();
        frames.send(HEADERS, END_HEADERS, 1, &block(&fields)).expect("an open connection");
        for (kind, flags, payload) in *rest {
            // It may have been reset before.
            let _sent = frames.send(*kind, *flags, 1, payload).is_ok();
        }
        let end = frames.next_of(&[HEADERS, RST_STREAM, GOAWAY]);
        let is_answered = end.is_some_and(|end| end.kind == HEADERS && end.payload[0] != STATUS_400);
        assert!(!is_answered || *length != "5", "{rest:?}");
    }
    let client = Http2Client::connect(gateway.address());
    assert_eq!(client.ask(request("GET", "http://a/after", &[])).expect("an answer").status(), 200);
    // Those that broke off may end later.
    let seen: Vec<(String, bool, Vec<u8>)> = ends.try_iter().collect();
    for (start, is_whole, body) in &seen {
        let is_announced = start == "POST / HTTP/1.1" && (!is_whole || body.is_empty() || body == b"1234");
        assert!(is_announced || start == "GET /after HTTP/1.1", "{seen:?}");
    }
    assert!(seen.iter().any(|(start, ..)| start == "GET /after HTTP/1.1"), "{seen:?}");
}
