//! WebSocket to backends that speak HTTP/2: on a stream (RFC 8441) where they take it there.

use super::http2_to;
use crate::{gateway::Gateway, streams::Server};
use bytes::Bytes;
use h2::{Reason, ext::Protocol};
use harness::{
    http::client::{Client, get},
    http2::{
        backend::{Exchange, Http2Backend, Manners},
        client::{Begun, Http2Client, read, read_body, request},
        frames::{ACK, END_HEADERS, Frames, HEADERS, PING, SETTINGS, block},
    },
    wait,
};
use http::{Method, Request};
use std::{
    io::{self, Read as _, Write as _},
    net::TcpStream,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

const PATIENCE: Duration = Duration::from_secs(20);

const TAKES_CONNECT: Manners = Manners { streams: None, requests: None, connect: true };

/// The key of RFC 6455 §1.3, and what it is accepted with.
const ASK: &str = "GET /chat?room=1 HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: WebSocket\r\n\
                   sec-websocket-version: 13\r\nsec-websocket-protocol: chat\r\n\
                   sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// A rule for the Service in [`http2_to`].
const NO_RETRIES: &str = "\n    retries: {attempts: 0}";

fn chat() -> Request<()> {
    let mut asked = request("CONNECT", "http://a/chat?room=1", &[("sec-websocket-version", "13")]);
    asked.extensions_mut().insert(Protocol::from_static("websocket"));
    asked
}

/// The next bytes from the other side; what ends it may have none.
async fn next(exchange: &mut Exchange) -> Option<Result<Bytes, h2::Error>> {
    loop {
        let data = exchange.body.data().await;
        if let Some(Ok(data)) = &data {
            let _released = exchange.body.flow_control().release_capacity(data.len());
        }
        if !matches!(&data, Some(Ok(data)) if data.is_empty()) {
            return data;
        }
    }
}

/// The word that closes the conversation.
const CLOSE: &[u8] = b"close";

/// Greets, and sends everything back until the other side has closed, or ended; answers other requests with 200.
async fn echo(mut exchange: Exchange) {
    if exchange.head.method != Method::CONNECT {
        return exchange.answer(200, &[], b"no chat");
    }
    let mut back = exchange.head(200, &[("sec-websocket-protocol", "chat")]);
    let mut send = |data: Bytes, is_last| {
        // Nothing is said to a gateway that has gone.
        let _sent = back.send_data(data, is_last).is_ok();
    };
    send(Bytes::from_static(b"hello"), false);
    while let Some(Ok(data)) = next(&mut exchange).await {
        let is_last = data.ends_with(CLOSE);
        send(data, false);
        if is_last {
            break;
        }
    }
    send(Bytes::from_static(b"bye"), true);
}

#[test]
fn a_client_of_http_1_speaks_on_a_stream_of_the_backend() {
    let backend = Http2Backend::start(TAKES_CONNECT, echo);
    let gateway = Gateway::start(&http2_to(&[backend.address()], ""));
    let said: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
    for _ in 0..2 {
        let mut client = gateway.connect();
        client.send(ASK);
        let answer = client.head();
        assert_eq!(answer.status(), 101);
        for (name, value) in [
            ("connection", "upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-accept", ACCEPT),
            ("sec-websocket-protocol", "chat"),
        ] {
            assert_eq!(answer.field(name), Some(value), "{name}");
        }
        let mut greeting = [0; 5];
        client.read_exact(&mut greeting);
        assert_eq!(&greeting, b"hello");
        for piece in said.chunks(50_000) {
            client.send(piece);
            let mut echoed = vec![0; piece.len()];
            client.read_exact(&mut echoed);
            assert!(echoed == piece);
        }
        client.finish_sending();
        assert_eq!(client.rest().expect("an orderly end"), b"bye", "each side ends for itself");
    }
    assert_eq!(gateway.connect().exchange(get("a", "/")).text(), "no chat");
    let asked = &backend.requests()[0].head;
    assert_eq!(asked.extensions.get::<Protocol>().map(Protocol::as_str), Some("websocket"));
    assert_eq!((&asked.method, asked.uri.to_string().as_str()), (&Method::CONNECT, "http://a/chat?room=1"));
    assert_eq!(asked.headers["sec-websocket-version"], "13");
    for of_http1 in ["connection", "upgrade", "host", "content-length", "transfer-encoding"] {
        assert!(!asked.headers.contains_key(of_http1), "{of_http1}: {asked:?}");
    }
    assert_eq!(backend.connections(), 1, "one connection carries them all");
}

#[test]
fn streams_of_both_sides_carry_one_websocket() {
    let backend = Http2Backend::start(TAKES_CONNECT, echo);
    let gateway = Gateway::start(&http2_to(&[backend.address()], ""));
    let client = Http2Client::connect(gateway.address());
    let said: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_le_bytes).collect();
    let mut begun: Vec<Begun> = (0..3).map(|_| client.begin(chat())).collect();
    for Begun { response, upload } in &mut begun {
        let answer = client.wait(response).expect("an answer");
        assert_eq!(answer.status(), 200);
        for of_http1 in ["connection", "upgrade", "sec-websocket-accept"] {
            assert!(!answer.headers().contains_key(of_http1), "{of_http1}: {answer:?}");
        }
        // h2 keeps what there is no window for yet.
        upload.send_data(Bytes::copy_from_slice(&said), false).expect("an open stream");
        upload.send_data(Bytes::from_static(CLOSE), true).expect("an open stream");
        let echoed = client.wait(read_body(&mut answer.into_body())).expect("an orderly end");
        assert!(echoed == [b"hello", &*said, CLOSE, b"bye"].concat(), "{} bytes", echoed.len());
    }
    assert_eq!(backend.connections(), 1);
}

/// Some wait for the other side's end before they end themselves: Apache and hypercorn do.
#[test]
fn the_end_of_a_client_s_stream_is_passed_on_at_once() {
    let (came, comes) = mpsc::channel();
    let backend = Http2Backend::start(TAKES_CONNECT, move |mut exchange| {
        let came = came.clone();
        async move {
            let mut back = exchange.head(200, &[]);
            let ended = next(&mut exchange).await.is_none();
            came.send(ended).expect("the test waits");
            back.send_data(Bytes::from_static(b"bye"), true).expect("an open stream");
        }
    });
    let gateway = Gateway::start(&http2_to(&[backend.address()], ""));
    let client = Http2Client::connect(gateway.address());
    let Begun { response, mut upload } = client.begin(chat());
    let mut back = client.wait(response).expect("an answer").into_body();
    upload.send_data(Bytes::new(), true).expect("an open stream");
    // Not as late as towards a backend of HTTP/1.1.
    assert!(comes.recv_timeout(Duration::from_secs(4)).expect("an end arrives"));
    assert_eq!(client.wait(read_body(&mut back)).expect("an orderly end"), b"bye");
}

#[test]
fn what_a_backend_answers_instead_is_passed_on() {
    let ended = Arc::new(AtomicUsize::new(0));
    let backend = Http2Backend::start(TAKES_CONNECT, {
        let ended = Arc::clone(&ended);
        move |mut exchange| {
            let ended = Arc::clone(&ended);
            async move {
                let status = exchange.head.headers["x-answer"].to_str().ok().and_then(|status| status.parse().ok());
                let mut answer = exchange.head(status.expect("a status"), &[]);
                answer.send_data(Bytes::from_static(b"not "), false).expect("an open stream");
                if next(&mut exchange).await.is_none() {
                    ended.fetch_add(1, Ordering::SeqCst);
                }
                answer.send_data(Bytes::from_static(b"you"), true).expect("an open stream");
            }
        }
    });
    let gateway = Gateway::start(&http2_to(&[backend.address()], NO_RETRIES));
    let mut http1 = gateway.connect();
    let http2 = Http2Client::connect(gateway.address());
    for (answer, status) in [("403", 403), ("302", 302), ("503", 503)] {
        let field = format!("x-answer: {answer}\r\n\r\n");
        let refused = http1.exchange(ASK.replace("\r\n\r\n", &format!("\r\n{field}")));
        assert_eq!((refused.status(), refused.text()), (status, "not you"));
        let mut asked = chat();
        asked.headers_mut().insert("x-answer", answer.parse().expect("a value"));
        let Begun { response, upload: _open } = http2.begin(asked);
        let refused = http2.wait(read(response)).expect("an answer");
        assert_eq!((refused.status(), &*refused.body), (status, &b"not you"[..]));
    }
    assert_eq!(ended.load(Ordering::SeqCst), 6, "the gateway says that no more comes");
    assert_eq!(backend.connections(), 1);
}

/// Neither side waits for one that has gone.
#[test]
fn the_end_of_one_side_is_that_of_the_other() {
    let (gone, ends) = mpsc::channel();
    let backend = Http2Backend::start(TAKES_CONNECT, move |mut exchange| {
        let gone = gone.clone();
        async move {
            let mut back = exchange.head(200, &[]);
            match next(&mut exchange).await {
                Some(Ok(_reset_me)) => back.send_reset(Reason::INTERNAL_ERROR),
                other => gone.send(other.map(|data| data.is_ok())).expect("the test waits"),
            }
        }
    });
    let gateway = Gateway::start(&http2_to(&[backend.address()], ""));
    let http2 = Http2Client::connect(gateway.address());
    let http1 = || {
        let mut client = gateway.connect();
        client.send(ASK);
        assert_eq!(client.head().status(), 101);
        client
    };

    // The client's goes.
    drop(http1());
    let Begun { response, mut upload } = http2.begin(chat());
    assert_eq!(http2.wait(response).expect("an answer").status(), 200);
    upload.send_reset(Reason::CANCEL);
    for _ in 0..2 {
        // In order, or by a reset.
        assert_ne!(ends.recv_timeout(PATIENCE).expect("an end arrives"), Some(true));
    }

    // The backend's goes.
    let mut client = http1();
    client.send("x");
    assert!(client.is_closed());
    let Begun { response, mut upload } = http2.begin(chat());
    let mut back = http2.wait(response).expect("an answer").into_body();
    upload.send_data(Bytes::from_static(b"x"), false).expect("an open stream");
    // Whether in order makes no difference to a WebSocket, which has a word of its own for that.
    let rest = http2.wait(read_body(&mut back)).unwrap_or_default();
    assert!(rest.is_empty(), "{rest:?}");
    assert_eq!(backend.connections(), 1);
}

/// What a backend of both versions does on a connection, without libraries, which would take the CONNECT.
fn speak_both(mut stream: TcpStream) -> io::Result<()> {
    let mut first = [0; 3];
    stream.peek(&mut first)?;
    if &first == b"PRI" {
        let mut frames = Frames::accept(stream);
        while let Some(frame) = frames.read() {
            match (frame.kind, frame.flags) {
                (SETTINGS, 0) => frames.send(SETTINGS, ACK, 0, &[])?,
                (PING, 0) => frames.send(PING, ACK, 0, &frame.payload)?,
                _ => {}
            }
        }
        return Ok(());
    }
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    stream.write_all(
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
          sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nhello",
    )
}

/// RFC 8441 §3: nobody is asked who has not said that he may be. A limit of one request holds for both ways of asking.
#[test]
fn a_backend_that_takes_none_on_a_stream_is_asked_in_http_1() {
    let backend = Server::start(speak_both);
    let limits = "
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: backend, namespace: default}
spec:
  host: backend
  trafficPolicy: {connectionPool: {http: {http2MaxRequests: 1}}}
";
    for limits in ["", limits] {
        let gateway = Gateway::start(&(http2_to(&[backend.address], "") + limits));
        for _ in 0..2 {
            let mut client = gateway.connect();
            client.send(ASK);
            let answer = client.head();
            assert_eq!((answer.status(), answer.field("sec-websocket-accept")), (101, Some(ACCEPT)));
            assert_eq!(client.rest().expect("an orderly end"), b"hello");
        }
    }
}

#[test]
fn a_backend_that_says_nothing_is_given_up() {
    let backend = Server::start(|mut stream| stream.read_to_end(&mut Vec::new()).map(drop));
    let mut gateway = Gateway::with(&http2_to(&[backend.address], NO_RETRIES), |settings| {
        settings.limits.connect_timeout = Duration::from_millis(200);
    });
    assert_eq!(gateway.connect().exchange(ASK).status(), 503);
    let client = Http2Client::connect(gateway.address());
    let Begun { response, upload: _open } = client.begin(chat());
    assert_eq!(client.wait(read(response)).expect("an answer").status(), 503);
    wait::until("the end of both", PATIENCE, || (gateway.in_flight() == 0).then_some(()));
}

/// Servers of gRPC close connections on which PINGs come in a row.
#[test]
fn all_who_wait_to_hear_what_a_backend_takes_wait_for_one_ping() {
    let pings = Arc::new(AtomicUsize::new(0));
    let backend = Server::start({
        let pings = Arc::clone(&pings);
        move |stream| {
            let mut first = [0; 3];
            stream.peek(&mut first)?;
            if &first != b"PRI" {
                return speak_both(stream);
            }
            let mut frames = Frames::accept(stream);
            while let Some(frame) = frames.read() {
                if (frame.kind, frame.flags) == (PING, 0) {
                    pings.fetch_add(1, Ordering::SeqCst);
                    // All have come by then.
                    thread::park_timeout(Duration::from_millis(300));
                    frames.send(PING, ACK, 0, &frame.payload)?;
                }
            }
            Ok(())
        }
    });
    let gateway = Gateway::start(&http2_to(&[backend.address], ""));
    let mut clients: Vec<Client> = (0..10).map(|_| gateway.connect()).collect();
    for client in &mut clients {
        client.send(ASK);
    }
    for client in &mut clients {
        assert_eq!(client.head().status(), 101);
    }
    assert_eq!(pings.load(Ordering::SeqCst), 1);
}

/// Many short messages that one client does not read are no reason to close the connection that it shares with others.
#[test]
fn short_messages_for_a_slow_client_harm_nobody_else() {
    const MESSAGE: &[u8] = b"a message of 20 bytes";
    const MESSAGES: usize = 12_000;
    let (said, all_said) = mpsc::channel();
    let backend = Http2Backend::start(TAKES_CONNECT, move |mut exchange| {
        let said = said.clone();
        async move {
            if exchange.head.method != Method::CONNECT {
                return exchange.answer(200, &[], b"no chat");
            }
            let mut back = exchange.head(200, &[]);
            for number in 1..=MESSAGES {
                back.send_data(Bytes::from_static(MESSAGE), number == MESSAGES).expect("an open stream");
            }
            said.send(()).expect("the test waits");
        }
    });
    let gateway = Gateway::start(&http2_to(&[backend.address()], NO_RETRIES));
    let mut slow = Frames::connect(gateway.address());
    // SETTINGS_INITIAL_WINDOW_SIZE of nothing.
    slow.send(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]).expect("sent");
    let fields = [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "http"),
        (":path", "/chat"),
        (":authority", "a"),
        ("sec-websocket-version", "13"),
    ];
    slow.send(HEADERS, END_HEADERS, 1, &block(&fields)).expect("sent");
    assert!(slow.next_of(&[HEADERS]).is_some());
    all_said.recv_timeout(PATIENCE).expect("all is said");
    for _ in 0..10 {
        let answer = gateway.connect().exchange(get("a", "/"));
        assert_eq!((answer.status(), answer.text()), (200, "no chat"));
    }
    assert_eq!(backend.connections(), 1);
}

/// Nothing is read of a client that has ended, so that nobody sees it go.
#[test]
fn a_client_that_has_ended_and_gone_has_no_tunnel_for_ever() {
    let (came, comes) = mpsc::channel();
    let backend = Http2Backend::start(TAKES_CONNECT, move |mut exchange| {
        let came = came.clone();
        async move {
            let _back = exchange.head(200, &[]);
            came.send(next(&mut exchange).await.is_none()).expect("the test waits");
            std::future::pending::<()>().await;
        }
    });
    let mut gateway = Gateway::with(&http2_to(&[backend.address()], ""), |settings| {
        settings.limits.answer_idle_timeout = Duration::from_millis(200);
    });
    let client = Http2Client::connect(gateway.address());
    let Begun { response, mut upload } = client.begin(chat());
    let _back = client.wait(response).expect("an answer").into_body();
    upload.send_data(Bytes::new(), true).expect("an open stream");
    assert!(comes.recv_timeout(PATIENCE).expect("an end arrives"));
    drop(client);
    wait::until("the end of the tunnel", PATIENCE, || (gateway.in_flight() == 0).then_some(()));
}

/// Bytes behind a request for an upgrade are its body, and no part of the other protocol.
#[test]
fn a_request_with_a_body_is_no_connect() {
    let backend = Server::start(speak_both);
    let gateway = Gateway::start(&http2_to(&[backend.address], ""));
    let mut client: Client = gateway.connect();
    client.send(ASK.replace("\r\n\r\n", "\r\ncontent-length: 4\r\n\r\nbody"));
    assert_eq!(client.head().status(), 101);
}
