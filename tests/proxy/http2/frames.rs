//! Clients that break the rules of HTTP/2, or keep to their letter alone.

use crate::gateway::{Gateway, everything_to};
use harness::{
    http::backend::Backend,
    http2::{
        client::{Http2Client, request},
        frames::{
            ACK, CONTINUATION, END_HEADERS, END_STREAM, Frame, Frames, GOAWAY, HEADERS, PING, RST_STREAM, SETTINGS,
            block,
        },
    },
};
use std::thread;

/// First byte of the head of an answer: entries of the static table of RFC 7541.
const STATUS_200: u8 = 0x88;
const STATUS_400: u8 = 0x8c;
const STATUS_404: u8 = 0x8d;

fn head<'a>(fields: &[(&'a str, &'a str)]) -> Vec<u8> {
    let mut all = vec![(":method", "GET"), (":scheme", "http"), (":path", "/")];
    all.extend_from_slice(fields);
    block(&all)
}

/// What comes on stream 1 for `fields`.
fn answer(gateway: &Gateway, fields: &[(&str, &str)]) -> Option<Frame> {
    let mut frames = Frames::connect(gateway.address());
    frames.send(HEADERS, END_HEADERS | END_STREAM, 1, &head(fields)).expect("an open connection");
    frames.next_of(&[HEADERS, RST_STREAM, GOAWAY])
}

#[test]
fn the_authority_is_the_host() {
    let backend = Backend::saying("hello");
    let gateway = Gateway::start(&everything_to(backend.address()));
    for (fields, host) in [
        (&[(":authority", "a.com")][..], "a.com"),
        (&[("host", "b.com")], "b.com"),
        // RFC 9113 §8.3.1: the field does not count then.
        (&[(":authority", "c.com"), ("host", "d.com")], "c.com"),
    ] {
        let answer = answer(&gateway, fields).expect("an answer");
        assert_eq!((answer.kind, answer.payload[0]), (HEADERS, STATUS_200), "{fields:?}");
        let asked = backend.requests().pop().expect("a request");
        assert_eq!(asked.values("host"), [host]);
    }
    let without = answer(&gateway, &[]).expect("an answer");
    assert_eq!((without.kind, without.payload[0]), (HEADERS, STATUS_400));
    assert_eq!(backend.requests().len(), 3);
}

#[test]
fn connect_finds_no_route() {
    let gateway = Gateway::start(&everything_to(([127, 0, 0, 1], 9).into()));
    let mut frames = Frames::connect(gateway.address());
    let fields = block(&[(":method", "CONNECT"), (":authority", "a.com:443")]);
    frames.send(HEADERS, END_HEADERS, 1, &fields).expect("an open connection");
    let answer = frames.next_of(&[HEADERS, RST_STREAM, GOAWAY]).expect("an answer");
    assert_eq!((answer.kind, answer.payload[0]), (HEADERS, STATUS_404));
}

/// Each ends the attacker's connection, or at least costs nothing, and nobody else notices.
#[test]
fn floods_end_their_own_connection() {
    let backend = Backend::saying("hello");
    let gateway = Gateway::start(&everything_to(backend.address()));
    let well_behaved = Http2Client::connect(gateway.address());
    let rapid_reset = |frames: &mut Frames, round: u32| {
        let stream = 2 * round + 1;
        frames.send(HEADERS, END_HEADERS | END_STREAM, stream, &head(&[(":authority", "a")]))?;
        frames.send(RST_STREAM, 0, stream, &8_u32.to_be_bytes())
    };
    // Who is allowed to send more than there is must reset the stream (CVE-2025-8671).
    let made_you_reset = |frames: &mut Frames, round: u32| {
        let stream = 2 * round + 1;
        frames.send(HEADERS, END_HEADERS, stream, &head(&[(":authority", "a")]))?;
        frames.send(8, 0, stream, &0x7fff_ffff_u32.to_be_bytes())
    };
    let continuation = |frames: &mut Frames, round: u32| {
        if round == 0 {
            frames.send(HEADERS, END_STREAM, 1, &head(&[(":authority", "a")]))
        } else {
            frames.send(CONTINUATION, 0, 1, &block(&[("x-more", &"x".repeat(1000))]))
        }
    };
    let empty_continuation = |frames: &mut Frames, round: u32| {
        if round == 0 {
            frames.send(HEADERS, END_STREAM, 1, &head(&[(":authority", "a")]))
        } else {
            frames.send(CONTINUATION, 0, 1, &[])
        }
    };
    type Flood<'f> = &'f (dyn Fn(&mut Frames, u32) -> std::io::Result<()> + Sync);
    let floods: [(&str, Flood<'_>); 4] = [
        ("rapid reset", &rapid_reset),
        ("made you reset", &made_you_reset),
        ("continuation", &continuation),
        ("empty continuation", &empty_continuation),
    ];
    for (name, flood) in floods {
        let mut frames = Frames::connect(gateway.address());
        // The gateway may close the connection long before.
        let broken = (0..20_000).find_map(|round| flood(&mut frames, round).err());
        let ended = broken.is_some() || std::iter::from_fn(|| frames.read()).any(|frame| frame.kind == GOAWAY);
        assert!(ended, "{name}");
        assert_eq!(well_behaved.ask(request("GET", "http://a/", &[])).expect(name).status(), 200);
    }
}

#[test]
fn pings_and_settings_are_answered_and_do_not_pile_up() {
    let backend = Backend::saying("hello");
    let gateway = Gateway::start(&everything_to(backend.address()));
    let mut frames = Frames::connect(gateway.address());
    thread::scope(|scope| {
        let well_behaved = scope.spawn(|| {
            let client = Http2Client::connect(gateway.address());
            (0..50)
                .map(|_| client.ask(request("GET", "http://a/", &[])).expect("an answer").status())
                .collect::<Vec<_>>()
        });
        for round in 0_u64..2_000 {
            frames.send(PING, 0, 0, &round.to_be_bytes()).expect("an open connection");
            assert_eq!(frames.next_of(&[PING]).expect("a pong").payload, round.to_be_bytes());
            frames.send(SETTINGS, 0, 0, &[]).expect("an open connection");
            frames.next_of(&[SETTINGS]).filter(|settings| settings.flags == ACK || round == 0).expect("an answer");
        }
        assert!(well_behaved.join().expect("no panic").iter().all(|status| *status == 200));
    });
}

#[test]
fn a_head_that_is_too_large_is_refused() {
    let backend = Backend::saying("hello");
    let gateway = Gateway::start(&everything_to(backend.address()));
    // One large field in the table, named again and again: a few bytes each (an HPACK bomb).
    let mut bomb = block(&[(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "a")]);
    bomb.extend_from_slice(&[0x40, 1, b'x', 127, 0xa1, 0x1e]);
    bomb.extend_from_slice(&[b'y'; 4000]);
    bomb.extend_from_slice(&[0xbe; 10_000]);
    let mut frames = Frames::connect(gateway.address());
    frames.send(HEADERS, END_HEADERS | END_STREAM, 1, &bomb).expect("an open connection");
    let answer = frames.next_of(&[HEADERS, RST_STREAM, GOAWAY]).expect("an answer");
    assert!(answer.kind != HEADERS || answer.payload[0] != STATUS_200, "{answer:?}");
    assert!(backend.requests().is_empty());
}
