//! Clients that give no window to what they have asked for.

use crate::gateway::{Gateway, everything_to};
use gateway::proxy::DrainTimes;
use harness::{
    http::backend::Backend,
    http2::frames::{
        DATA, END_HEADERS, END_STREAM, Frames, GOAWAY, HEADERS, RST_STREAM, SETTINGS, WINDOW_UPDATE, block,
    },
    wait,
};
use std::{sync::mpsc, time::Duration};

const SOON: Duration = Duration::from_millis(200);
const LIMIT: Duration = Duration::from_secs(30);

/// An answer of one piece, one of several that lies in the gateway as a whole, and one that does not.
const PIECE: usize = 2000;
const SMALL: usize = 40_000;
const LARGE: usize = 4 << 20;

/// Of `/piece`, `/small`, `/large`, so many as `/bytes/` says and, without a body, everything else.
fn backend() -> Backend {
    Backend::start(|exchange| {
        exchange.read_body()?;
        let length = match exchange.request.target() {
            "/piece" => PIECE,
            "/small" => SMALL,
            "/large" => LARGE,
            path => path.trim_start_matches("/bytes/").parse().unwrap_or(0),
        };
        exchange.respond("200 OK", &[], &vec![b'x'; length])
    })
}

/// A client whose streams have `window` bytes to begin with.
fn client(gateway: &Gateway, window: u32) -> Frames {
    let mut frames = Frames::connect(gateway.address());
    let [a, b, c, d] = window.to_be_bytes();
    // SETTINGS_INITIAL_WINDOW_SIZE.
    frames.send(SETTINGS, 0, 0, &[0, 4, a, b, c, d]).expect("sent");
    frames
}

fn ask(frames: &mut Frames, stream: u32, path: &str) {
    let head = block(&[(":method", "GET"), (":scheme", "http"), (":path", path), (":authority", "a")]);
    frames.send(HEADERS, END_HEADERS | END_STREAM, stream, &head).expect("sent");
}

#[test]
fn an_answer_that_gets_no_window_ends_its_stream_and_no_other() {
    let backend = backend();
    let short = [(0, "/piece"), (1, "/piece"), (1999, "/piece")];
    let long = [(0, "/small"), (1, "/small"), (0, "/large"), (1, "/large"), (20_000, "/large")];
    for (window, path) in short.into_iter().chain(long) {
        let mut gateway = Gateway::with(&everything_to(backend.address()), |settings| {
            settings.limits.answer_idle_timeout = SOON;
        });
        let mut frames = client(&gateway, window);
        ask(&mut frames, 1, path);
        let end = loop {
            let frame = frames.next_of(&[DATA, RST_STREAM, GOAWAY]).expect("the end of the stream");
            if frame.kind != DATA || frame.flags & END_STREAM != 0 {
                break frame;
            }
        };
        assert_eq!((end.kind, end.stream), (RST_STREAM, 1), "{path} with a window of {window}");
        wait::until("the end of the exchange", LIMIT, || (gateway.in_flight() == 0).then_some(()));
        ask(&mut frames, 3, "/empty");
        let answer = frames.next_of(&[HEADERS, RST_STREAM, GOAWAY]).expect("an answer");
        assert_eq!((answer.kind, answer.stream), (HEADERS, 3), "the connection goes on");
    }
}

#[test]
fn who_takes_little_by_little_is_served() {
    const STEPS: u32 = 12;
    let backend = backend();
    let gateway = Gateway::with(&everything_to(backend.address()), |settings| {
        settings.limits.answer_idle_timeout = Duration::from_secs(3);
    });
    let mut frames = client(&gateway, 0);
    ask(&mut frames, 1, "/small");
    let (_sender, pause) = mpsc::channel::<()>();
    // All of it takes longer than the limit.
    for _ in 0..STEPS {
        assert!(pause.recv_timeout(Duration::from_millis(400)).is_err());
        let step = u32::try_from(SMALL).expect("small").div_ceil(STEPS);
        frames.send(WINDOW_UPDATE, 0, 1, &step.to_be_bytes()).expect("sent");
    }
    let mut length = 0;
    loop {
        let frame = frames.next_of(&[DATA, RST_STREAM, GOAWAY]).expect("the rest of the answer");
        assert_eq!(frame.kind, DATA, "{frame:?}");
        length += frame.payload.len();
        if frame.flags & END_STREAM != 0 {
            break;
        }
    }
    assert_eq!(length, SMALL);
}

/// What is with HTTP and not with the client yet is not lost in a drain.
#[test]
fn a_drain_waits_for_those_who_read_slowly() {
    const WINDOW: u32 = 16 << 20;
    let backend = backend();
    let mut gateway = Gateway::with(&everything_to(backend.address()), |settings| {
        settings.drain = DrainTimes { announce: Duration::from_millis(100), deadline: LIMIT };
    });
    // Of some of them the end waits in a buffer of HTTP, for which the kernel's have no room.
    let mut clients: Vec<(usize, Frames)> = (1..=100)
        .map(|number| {
            let (length, mut frames) = (number * 50_000, client(&gateway, WINDOW));
            frames.send(WINDOW_UPDATE, 0, 0, &WINDOW.to_be_bytes()).expect("sent");
            ask(&mut frames, 1, &format!("/bytes/{length}"));
            assert!(frames.next_of(&[HEADERS]).is_some());
            (length, frames)
        })
        .collect();
    gateway.begin_drain();
    let (_sender, pause) = mpsc::channel::<()>();
    assert!(pause.recv_timeout(Duration::from_secs(4)).is_err());
    for (length, frames) in &mut clients {
        let mut read = 0;
        while let Some(frame) = frames.next_of(&[DATA]) {
            read += frame.payload.len();
            if frame.flags & END_STREAM != 0 {
                break;
            }
        }
        assert_eq!(read, *length);
    }
    drop(clients);
    gateway.ended();
}
