//! Backends that reset a stream, word by word: what the client may take for a whole answer.

use super::http2_to;
use crate::gateway::Gateway;
use harness::{
    http::client::get,
    http2::{
        client::{Begun, Http2Client, read, request},
        frames::{DATA, END_HEADERS, END_STREAM, Frames, HEADERS, RST_STREAM},
    },
};
use std::{
    net::{SocketAddr, TcpListener},
    thread::{self, JoinHandle},
};

/// `:status: 200` (RFC 7541, appendix A).
const STATUS_200: [u8; 1] = [0x88];

/// NO_ERROR and CANCEL.
const CODES: [u32; 2] = [0, 8];

/// Answers the first request with half of a body, and resets its stream with `code`; `flags` are those of the half.
fn backend(code: u32, flags: u8) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("address");
    let answering = thread::spawn(move || {
        let mut frames = Frames::accept(listener.accept().expect("a connection").0);
        let stream = frames.next_of(&[HEADERS]).expect("a request").stream;
        frames.send(HEADERS, END_HEADERS, stream, &STATUS_200).expect("a head");
        frames.send(DATA, flags, stream, b"half").expect("half of a body");
        frames.send(RST_STREAM, 0, stream, &code.to_be_bytes()).expect("a reset");
        // Until the gateway has gone: the end of the connection would end the answer as well.
        while frames.read().is_some() {}
    });
    (address, answering)
}

#[test]
fn an_answer_that_is_reset_never_looks_whole() {
    for code in CODES {
        let (address, answering) = backend(code, 0);
        let gateway = Gateway::start(&http2_to(&[address], ""));
        let client = Http2Client::connect(gateway.address());
        let answer = client.ask(request("GET", "http://a/", &[]));
        assert!(answer.is_err(), "reset with {code}: {answer:?}");
        drop(gateway);
        answering.join().expect("no panic");

        let (address, answering) = backend(code, 0);
        let gateway = Gateway::start(&http2_to(&[address], ""));
        let mut client = gateway.connect();
        client.send(get("a", "/"));
        // As much of it as has been written by then, and the end of the connection instead of the end of the body.
        let answer = client.rest().unwrap_or_default();
        assert!(!answer.ends_with(b"0\r\n\r\n"), "reset with {code}: {}", String::from_utf8_lossy(&answer));
        drop(gateway);
        answering.join().expect("no panic");
    }
}

/// RFC 9113 §8.1: whoever has answered may ask the client to stop sending.
#[test]
fn an_answer_that_is_complete_before_its_request_is_whole() {
    let (address, answering) = backend(0, END_STREAM);
    let gateway = Gateway::start(&http2_to(&[address], ""));
    let client = Http2Client::connect(gateway.address());
    let Begun { response, mut upload } = client.begin(request("POST", "http://a/", &[]));
    upload.send_data("the beginning".into(), false).expect("an open stream");
    let answer = client.wait(read(response)).expect("a whole answer");
    assert_eq!((answer.status(), &*answer.body), (200, &b"half"[..]));
    drop(gateway);
    answering.join().expect("no panic");
}
