//! Answers of HTTP/2 that would be something else in HTTP/1: no client takes them for an answer, nor what follows.

use super::http2_to;
use crate::gateway::Gateway;
use harness::{
    http::client::get,
    http2::{
        client::{Http2Client, request},
        frames::{DATA, END_HEADERS, END_STREAM, Frames, HEADERS, block},
        scripted::ScriptedBackend,
    },
};
use std::{io, time::Duration};

/// What a client that believes the bytes before would take for the answer to its next request.
const SMUGGLED: &[u8] = b"HTTP/1.1 299 Smuggled\r\ncontent-length: 0\r\n\r\n";

/// Long enough for something that would be wrong to come.
const MOMENT: Duration = Duration::from_millis(100);

/// Flags and bytes of each frame of a body; a head without any ends the answer.
type Body = &'static [(u8, &'static [u8])];

/// An answer, frame by frame.
struct Script {
    fields: Vec<(&'static str, &'static str)>,
    body: Body,
}

impl Script {
    fn new(fields: &[(&'static str, &'static str)], body: Body) -> Self {
        Self { fields: fields.to_vec(), body }
    }

    fn play(&self, frames: &mut Frames, stream: u32) -> io::Result<()> {
        let flags = if self.body.is_empty() { END_HEADERS | END_STREAM } else { END_HEADERS };
        frames.send(HEADERS, flags, stream, &block(&self.fields))?;
        self.body.iter().try_for_each(|(flags, data)| frames.send(DATA, *flags, stream, data))
    }
}

/// A backend that answers with `scripts` by turns, after each one with "fine", and a gateway before it.
fn behind(scripts: Vec<Script>) -> (ScriptedBackend, Gateway) {
    let fine = Script::new(&[(":status", "200"), ("content-length", "4")], &[(END_STREAM, b"fine")]);
    let backend = ScriptedBackend::start(move |frames, stream, count| {
        let script = if count % 2 == 0 { &scripts[count / 2] } else { &fine };
        // A gateway that has had enough of the connection closes it.
        let _sent = script.play(frames, stream).is_ok();
    });
    let gateway = Gateway::start(&http2_to(&[backend.address()], "\n    retries: {attempts: 0}"));
    (backend, gateway)
}

fn heads() -> Vec<Script> {
    let smuggled = "1\r\ncontent-length: 0\r\n\r\nHTTP/1.1 299 Smuggled";
    let fields = [
        ("transfer-encoding", "chunked"),
        ("connection", "close"),
        ("connection", "content-length"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("upgrade", "websocket"),
        ("x-a", smuggled),
        ("x-a", "1\r2"),
        ("x-a", "1\n2"),
        ("x-a", "1\x002"),
        ("X-Upper", "1"),
        ("x a", "1"),
        ("x-a: 1\r\nx-b", "1"),
        ("", "1"),
        ("content-length", "4, 4"),
        ("content-length", "+4"),
        ("content-length", "-4"),
        (":status", "200"),
        (":unknown", "1"),
    ];
    let statuses = ["", "99", "099", "1000", "abc", "200 OK\r\nx: 1", " 200", "2e2"];
    let body: Body = &[(END_STREAM, b"body")];
    let mut scripts: Vec<Script> = fields.map(|field| Script::new(&[(":status", "200"), field], body)).into();
    scripts.extend(statuses.map(|status| Script::new(&[(":status", status)], body)));
    scripts.push(Script::new(&[("x-a", "1"), (":status", "200")], body));
    scripts.push(Script::new(&[("x-a", "1")], body));
    scripts.push(Script::new(&[(":status", "200"), ("content-length", "4"), ("content-length", "5")], body));
    scripts.push(Script::new(&[(":status", "200"), ("content-length", "")], &[]));
    scripts.push(Script::new(&[(":status", "200"), ("content-length", "0"), ("content-length", "")], &[]));
    // What is interim is no end.
    scripts.extend(["100", "101"].map(|status| Script::new(&[(":status", status)], &[])));
    scripts
}

#[test]
fn a_head_that_http_2_forbids_is_no_answer() {
    let (_backend, gateway) = behind(heads());
    let mut client = gateway.connect();
    for Script { fields, .. } in heads() {
        let answer = client.exchange(get("a", "/"));
        assert_eq!(answer.status(), 502, "{fields:?}: {answer:?}");
        let next = client.exchange(get("a", "/next"));
        assert_eq!((next.status(), next.text()), (200, "fine"), "after {fields:?}");
    }

    let (_backend, gateway) = behind(heads());
    let client = Http2Client::connect(gateway.address());
    for Script { fields, .. } in heads() {
        let answer = client.ask(request("GET", "http://a/", &[])).expect("an answer");
        assert_eq!(answer.status(), 502, "{fields:?}: {answer:?}");
        let next = client.ask(request("GET", "http://a/next", &[])).expect("an answer");
        assert_eq!((next.status(), &*next.body), (200, &b"fine"[..]), "after {fields:?}");
    }
}

/// As in requests.
#[test]
fn a_length_that_is_said_twice_is_said_once() {
    let twice = || {
        Script::new(&[(":status", "200"), ("content-length", "4"), ("content-length", "4")], &[(END_STREAM, b"body")])
    };
    let (_backend, gateway) = behind(vec![twice(), twice()]);
    let mut client = gateway.connect();
    for text in ["body", "fine"] {
        let answer = client.exchange(get("a", "/"));
        assert_eq!((answer.values("content-length"), answer.text()), (vec!["4"], text));
    }
    let answer = Http2Client::connect(gateway.address()).ask(request("GET", "http://a/", &[])).expect("an answer");
    assert_eq!(answer.head.headers.get_all("content-length").iter().count(), 1);
}

/// What has begun cannot be taken back, only broken off: nobody takes it for whole, or what follows for another answer.
#[test]
fn an_answer_that_is_not_as_long_as_it_says_is_never_whole() {
    const SHAPES: [(&str, Body); 6] = [
        ("5", &[(END_STREAM, b"1234")]),
        ("5", &[(0, b"1234"), (END_STREAM, b"")]),
        ("5", &[(0, b"1234"), (END_STREAM, SMUGGLED)]),
        ("4", &[(END_STREAM, SMUGGLED)]),
        ("0", &[(END_STREAM, SMUGGLED)]),
        ("4", &[(0, b"1234"), (END_STREAM, SMUGGLED)]),
    ];
    let scripts = || SHAPES.map(|(length, body)| Script::new(&[(":status", "200"), ("content-length", length)], body));
    let (_backend, gateway) = behind(scripts().into());
    for (length, body) in SHAPES {
        let mut client = gateway.connect();
        client.send("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        // It may be reset before there is an answer, and in the middle of one.
        let said = client.rest().unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        let about = format!("{length}, {body:?}: {said}");
        match said.split_once("\r\n\r\n") {
            Some((head, rest)) if head.starts_with("HTTP/1.1 200 ") => {
                assert!(head.contains(&format!("content-length: {length}")) && "1234".starts_with(rest), "{about}");
            }
            Some((head, _)) => assert!(["HTTP/1.1 502 ", "HTTP/1.1 503 "].contains(&&head[..13]), "{about}"),
            None => assert_eq!(said, "", "{about}"),
        }
        let next = gateway.connect().exchange(get("a", "/next"));
        assert_eq!((next.status(), next.text()), (200, "fine"), "after {about}");
    }

    let (_backend, gateway) = behind(scripts().into());
    let client = Http2Client::connect(gateway.address());
    for (length, body) in SHAPES {
        let answer = client.ask(request("GET", "http://a/", &[]));
        let is_refusal = answer.as_ref().map_or(true, |answer| [502, 503].contains(&answer.status()));
        assert!(is_refusal || length != "5", "{body:?}: {answer:?}");
        assert!(is_refusal || answer.is_ok_and(|answer| b"1234".starts_with(&answer.body)), "{length}, {body:?}");
        let next = client.ask(request("GET", "http://a/next", &[])).expect("an answer");
        assert_eq!((next.status(), &*next.body), (200, &b"fine"[..]), "after {length}, {body:?}");
    }
}

/// RFC 9112 §6.3: HTTP/1 has no body here, whatever comes and whatever the head says.
#[test]
fn a_body_where_http_1_has_none_is_not_passed_on() {
    const SHAPES: [(&str, &str); 4] = [("HEAD", "200"), ("GET", "204"), ("GET", "304"), ("HEAD", "404")];
    let body: Body = &[(END_STREAM, SMUGGLED)];
    let scripts = SHAPES.iter().flat_map(|(_, status)| {
        [Script::new(&[(":status", status), ("content-length", "44")], body), Script::new(&[(":status", status)], body)]
    });
    let (_backend, gateway) = behind(scripts.collect());
    for (method, status) in SHAPES {
        for _ in 0..2 {
            let mut client = gateway.connect();
            client.send(format!("{method} / HTTP/1.1\r\nhost: a\r\n\r\n"));
            let answer = client.head();
            let about = format!("{method} {status}: {answer:?}");
            if answer.status().to_string() == status {
                assert!(client.is_silent_for(MOMENT) || client.is_closed(), "{about}");
            } else {
                assert!([502, 503].contains(&answer.status()), "{about}");
            }
            let next = gateway.connect().exchange(get("a", "/next"));
            assert_eq!((next.status(), next.text()), (200, "fine"), "after {about}");
        }
    }
}
