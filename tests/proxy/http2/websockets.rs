//! WebSocket on streams of HTTP/2 (RFC 8441), to backends that speak HTTP/1.1.

use crate::gateway::{Gateway, everything_to};
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use gateway::proxy::DrainTimes;
use h2::{Reason, ext::Protocol};
use harness::{
    http::backend::{Backend, Exchange, Then},
    http2::{
        client::{Begun, Http2Client, read, read_body, request},
        frames::{END_HEADERS, Frames, HEADERS, SETTINGS, block},
    },
    objects::routes,
    wait,
};
use http::Request;
use std::{
    io::{self, Read as _},
    sync::mpsc,
    time::Duration,
};

const LIMIT: Duration = Duration::from_secs(30);

fn chat(protocol: &'static str) -> Request<()> {
    let fields = [("sec-websocket-version", "13"), ("sec-websocket-protocol", "chat")];
    let mut asked = request("CONNECT", "http://a/chat?room=1", &fields);
    asked.extensions_mut().insert(Protocol::from_static(protocol));
    asked
}

/// Takes the key as RFC 6455 §4.2.2 says.
fn agree(exchange: &mut Exchange<'_>) -> io::Result<()> {
    let key = exchange.request.field("sec-websocket-key").expect("a key");
    let digest = digest(&SHA1_FOR_LEGACY_USE_ONLY, format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11").as_bytes());
    exchange.send(format!(
        "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-accept: {}\r\nsec-websocket-protocol: chat\r\n\r\nhello",
        BASE64_STANDARD.encode(digest)
    ))
}

/// The word that closes the conversation.
const CLOSE: &[u8] = b"close";

/// Greets, and sends everything back until the client has closed, or ended its side.
fn echo(exchange: &mut Exchange<'_>) -> io::Result<Then> {
    if exchange.request.field("upgrade").is_none() {
        return exchange.respond("200 OK", &[], b"no chat");
    }
    agree(exchange)?;
    let (mut said, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        let length = exchange.stream.read(&mut piece)?;
        exchange.send(&piece[..length])?;
        said.extend_from_slice(&piece[..length]);
        if length == 0 || said.ends_with(CLOSE) {
            exchange.send("bye")?;
            return Ok(Then::Close);
        }
    }
}

#[test]
fn bytes_pass_both_ways_on_a_stream() {
    let backend = Backend::start(echo);
    let gateway = Gateway::start(&everything_to(backend.address()));
    let client = Http2Client::connect(gateway.address());
    client.ask(request("GET", "http://a/", &[])).expect("an answer");
    assert!(client.allows_extended_connect());
    let said: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_le_bytes).collect();
    let mut begun: Vec<Begun> = (0..3).map(|_| client.begin(chat("websocket"))).collect();
    for Begun { response, upload } in &mut begun {
        let answer = client.wait(response).expect("an answer");
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["sec-websocket-protocol"], "chat");
        for of_http1 in ["upgrade", "connection", "sec-websocket-accept", "content-length"] {
            assert!(!answer.headers().contains_key(of_http1), "{of_http1}: {answer:?}");
        }
        let mut back = answer.into_body();
        let echoed = client.wait(async {
            let write = async {
                // h2 keeps what there is no window for yet.
                for piece in said.chunks(100_000) {
                    upload.send_data(Bytes::copy_from_slice(piece), false).expect("an open stream");
                }
                upload.send_data(Bytes::from_static(CLOSE), true).expect("an open stream");
            };
            tokio::join!(write, read_body(&mut back)).1
        });
        let echoed = echoed.expect("an orderly end");
        assert!(echoed == [b"hello", &*said, CLOSE, b"bye"].concat(), "{} bytes", echoed.len());
    }
    let after = client.ask(request("GET", "http://a/", &[])).expect("an answer");
    assert_eq!(after.status(), 200, "the connection goes on");
    let asked = &backend.requests()[1];
    assert_eq!(asked.start, "GET /chat?room=1 HTTP/1.1");
    assert_eq!((asked.field("connection"), asked.field("upgrade")), (Some("upgrade"), Some("websocket")));
    assert_eq!((asked.field("host"), asked.field("sec-websocket-version")), (Some("a"), Some("13")));
}

#[test]
fn each_client_has_a_key_of_its_own() {
    let backend = Backend::start(echo);
    let gateway = Gateway::start(&everything_to(backend.address()));
    let client = Http2Client::connect(gateway.address());
    for _ in 0..2 {
        let mut asked = chat("websocket");
        asked.headers_mut().insert("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==".parse().expect("a value"));
        let Begun { response, mut upload } = client.begin(asked);
        assert_eq!(client.wait(response).expect("an answer").status(), 200);
        upload.send_reset(Reason::CANCEL);
    }
    let requests = backend.requests();
    let keys: Vec<_> = requests.iter().filter_map(|asked| asked.field("sec-websocket-key")).collect();
    assert!(keys.len() == 2 && keys[0] != keys[1] && !keys.contains(&"dGhlIHNhbXBsZSBub25jZQ=="), "{keys:?}");
}

/// Browsers end their stream with the word that closes a WebSocket, and wait for the answer to it.
#[test]
fn a_client_that_has_ended_hears_the_last_words() {
    let backend = Backend::start(|exchange| {
        agree(exchange)?;
        exchange.stream.read_exact(&mut [0; CLOSE.len()])?;
        // As a proxy does that takes the end of one side for that of both.
        exchange.stream.get_ref().set_read_timeout(Some(Duration::from_millis(500)))?;
        if exchange.stream.read(&mut [0; 64]).is_ok_and(|length| length == 0) {
            return Ok(Then::Close);
        }
        exchange.send("bye")?;
        Ok(Then::Close)
    });
    let gateway = Gateway::start(&everything_to(backend.address()));
    let client = Http2Client::connect(gateway.address());
    let Begun { response, mut upload } = client.begin(chat("websocket"));
    let mut back = client.wait(response).expect("an answer").into_body();
    upload.send_data(Bytes::from_static(CLOSE), true).expect("an open stream");
    assert_eq!(client.wait(read_body(&mut back)).expect("an orderly end"), b"hellobye");
}

/// There is no tunnel before the backend has agreed to one, and no answer that looks like one.
#[test]
fn what_is_no_agreement_is_no_tunnel() {
    let backend = Backend::start(|exchange| match exchange.request.field("x-answer") {
        Some("403") => exchange.respond("403 Forbidden", &[], b"not you"),
        Some("200") => exchange.respond("200 OK", &[], b"a page"),
        Some("other key") => {
            exchange.send(
                "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                 sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nhello",
            )?;
            Ok(Then::Close)
        }
        _ => exchange.respond("204 No Content", &[], b""),
    });
    let gateway = Gateway::start(&everything_to(backend.address()));
    let client = Http2Client::connect(gateway.address());
    for (answer, status, body) in [("403", 403, "not you"), ("200", 502, ""), ("204", 502, ""), ("other key", 502, "")]
    {
        let mut asked = chat("websocket");
        asked.headers_mut().insert("x-answer", answer.parse().expect("a value"));
        let Begun { response, upload: _open } = client.begin(asked);
        let answered = client.wait(read(response)).expect("an answer");
        assert_eq!(answered.status(), status, "{answer}");
        assert!(body.is_empty() || answered.body == body.as_bytes(), "{answer}: {answered:?}");
    }
    let Begun { response, upload: _open } = client.begin(chat("connect-udp"));
    assert_eq!(client.wait(response).expect("an answer").status(), 403, "as for an upgrade to something else");
    assert_eq!(backend.requests().len(), 4);
    assert_eq!(client.ask(request("GET", "http://a/", &[])).expect("an answer").status(), 204);
}

#[test]
fn an_answer_of_our_own_is_no_tunnel() {
    let gateway = Gateway::start(&routes("  - directResponse: {status: 200, body: {string: here}}"));
    let client = Http2Client::connect(gateway.address());
    let Begun { response, upload: _open } = client.begin(chat("websocket"));
    assert_eq!(client.wait(read(response)).expect("an answer").status(), 501);
}

#[test]
fn a_client_that_goes_takes_its_backend_s_connection_along() {
    let (gone, ends) = mpsc::channel();
    let backend = Backend::start(move |exchange| {
        agree(exchange)?;
        let ended = exchange.stream.read(&mut [0; 64]);
        gone.send(ended.unwrap_or(0)).expect("the test waits");
        Ok(Then::Close)
    });
    let gateway = Gateway::start(&everything_to(backend.address()));
    let client = Http2Client::connect(gateway.address());
    let Begun { response, mut upload } = client.begin(chat("websocket"));
    assert_eq!(client.wait(response).expect("an answer").status(), 200);
    upload.send_reset(Reason::CANCEL);
    // Not as late as the end of one that may wait for an answer.
    assert_eq!(ends.recv_timeout(Duration::from_secs(4)).expect("an end arrives"), 0);
}

/// The backend's connection must not be held for somebody who takes nothing.
#[test]
fn a_client_that_takes_nothing_has_no_tunnel_for_ever() {
    let backend = Backend::start(|exchange| {
        agree(exchange)?;
        exchange.send(vec![b'x'; 64 << 20])?;
        Ok(Then::Close)
    });
    let mut gateway = Gateway::with(&everything_to(backend.address()), |settings| {
        settings.limits.answer_idle_timeout = Duration::from_millis(200);
    });
    let mut frames = Frames::connect(gateway.address());
    // SETTINGS_INITIAL_WINDOW_SIZE of nothing.
    frames.send(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]).expect("sent");
    let fields = [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "http"),
        (":path", "/chat"),
        (":authority", "a"),
        ("sec-websocket-version", "13"),
    ];
    frames.send(HEADERS, END_HEADERS, 1, &block(&fields)).expect("sent");
    assert!(frames.next_of(&[HEADERS]).is_some());
    wait::until("the end of the tunnel", LIMIT, || (gateway.in_flight() == 0).then_some(()));
}

#[test]
fn a_drain_waits_for_a_tunnel() {
    let backend = Backend::start(echo);
    let mut gateway = Gateway::with(&everything_to(backend.address()), |settings| {
        settings.drain = DrainTimes { announce: Duration::from_millis(100), deadline: LIMIT };
    });
    let client = Http2Client::connect(gateway.address());
    let Begun { response, mut upload } = client.begin(chat("websocket"));
    let mut back = client.wait(response).expect("an answer").into_body();
    gateway.begin_drain();
    wait::until("new connections to be refused", LIMIT, || {
        std::net::TcpStream::connect(gateway.address()).is_err().then_some(())
    });
    upload.send_data(Bytes::from_static(CLOSE), true).expect("an open stream");
    assert_eq!(client.wait(read_body(&mut back)).expect("an orderly end"), b"helloclosebye");
    gateway.ended();
}
