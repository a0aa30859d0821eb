//! Callers and pods that leave at every possible moment, while others go on.

use crate::{
    limits::until_answered,
    peers::{Backend, Backends, Content, Exchange, Head, Load, Read, Reader, Write, connect, send},
    scale,
    world::{self, Gateway, MODES, Way, World, everything_to},
};
use fastrand::Rng;
use std::{
    io,
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// Every so many bytes.
fn step() -> usize {
    scale::of(7, 1)
}

#[test]
fn a_caller_may_leave_after_any_byte() {
    world::run("fastpath::a_caller_may_leave_after_any_byte", |world| {
        for fast in MODES {
            let backends = Backends::start(world);
            let gateway = Gateway::start(world, fast, &everything_to(&backends.services()));
            backends.expect_broken_connections();
            let tally = Load::new(2, 10_000).during(world, &backends, |good| {
                callers(world);
                until_answered(good, 50);
            });
            tally.assert_all_good();
            drop(gateway);
        }
    });
}

fn callers(world: &World) {
    let mut random = Rng::with_seed(1);
    let service = Backends::service(Way::V4, Read::Edge);
    let request = Exchange::new(&service, 300, 300).request(1, &mut random);
    for bytes in (0..=request.len()).step_by(step()) {
        for reset in [false, true] {
            let stream = connect(&world.caller, World::entrance(Way::V4, bytes % 2 == 0)).expect("the gateway");
            if bytes > 0 {
                send(&stream, Write::Whole, &request[..bytes], &mut random).expect("the gateway reads");
            }
            if reset {
                refuse(&stream).expect("SO_LINGER");
            }
        }
    }
}

/// The length of the body of the pod's answer.
const BODY: u64 = 300;

#[test]
fn a_pod_may_leave_after_any_byte() {
    world::run("fastpath::a_pod_may_leave_after_any_byte", |world| {
        let address = SocketAddr::new(World::pod(Way::V4), 9100);
        for fast in MODES {
            let backends = Backends::start(world);
            // A caller that sees its connection end has been told everything there is to know.
            let leaver = Backend::serving(&world.pods, address, |stream, _| drop(leave(stream)));
            let services = [backends.services(), vec![("leaver".to_owned(), address)]].concat();
            let gateway = Gateway::start(world, fast, &everything_to(&services));
            let tally = Load::new(2, 10_000).during(world, &backends, |good| {
                pods(world);
                until_answered(good, 50);
            });
            tally.assert_all_good();
            assert_eq!(gateway.counts().redirected > 0, fast.is_on());
            drop((gateway, leaver));
        }
    });
}

/// What the pod says when it stays to the end.
fn answer() -> Vec<u8> {
    let mut answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {BODY}\r\n\r\n").into_bytes();
    answer.extend(Content::new(2).bytes(0..BODY));
    answer
}

/// Answers with as many bytes as it was asked for, and leaves.
fn leave(stream: TcpStream) -> io::Result<()> {
    let mut reader = Reader::new(stream, Read::Edge, 16 << 10)?;
    let head = Head::read(&mut reader)?;
    let bytes = usize::try_from(head.number("x-bytes")?).map_err(io::Error::other)?;
    send(reader.stream(), Write::Whole, &answer()[..bytes], &mut Rng::new())?;
    if head.number("x-reset")? == 1 { refuse(reader.stream()) } else { Ok(()) }
}

fn pods(world: &World) {
    let whole = answer().len();
    for bytes in (0..whole).step_by(step()).chain([whole]) {
        for reset in [0, 1] {
            let stream = connect(&world.caller, World::entrance(Way::V4, bytes % 2 == 0)).expect("the gateway");
            let request = format!("GET /leaver/x HTTP/1.1\r\nhost: a\r\nx-bytes: {bytes}\r\nx-reset: {reset}\r\n\r\n");
            send(&stream, Write::Whole, request.as_bytes(), &mut Rng::new()).expect("the gateway reads");
            let seen = seen(stream);
            // A reset takes with it what has not been read.
            let is_lost = bytes < whole || reset == 1;
            match seen {
                Ok(Some(length)) => {
                    assert!(length == BODY && bytes == whole, "{bytes} bytes became {length} of a body")
                }
                Ok(None) | Err(_) => assert!(is_lost, "a whole answer did not arrive: {seen:?}"),
            }
        }
    }
}

/// The length of the body when it came to its end; `None` when the gateway itself has answered.
fn seen(stream: TcpStream) -> io::Result<Option<u64>> {
    let mut reader = Reader::new(stream, Read::Edge, 16 << 10)?;
    let head = Head::read(&mut reader)?;
    if !head.start.contains(" 200 ") {
        assert!(head.start.contains(" 503 ") || head.start.contains(" 502 "), "{head:?}");
        return Ok(None);
    }
    let body = head.body(&mut reader, |at, bytes| {
        Content::new(2).check(at, bytes).unwrap_or_else(|wrong| panic!("{wrong}"));
    });
    body.map(Some)
}

/// Closing this socket sends RST.
fn refuse(stream: &TcpStream) -> io::Result<()> {
    socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO))
}
