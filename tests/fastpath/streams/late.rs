//! Sending after the own end of a stream.

use crate::{
    peers::{Backend, PATIENCE, Read, Reader, Write, connect, send},
    world::{self, Fast, Gateway, MODES, Way, World, streams_to},
};
use fastrand::Rng;
use harness::wait;
use parking_lot::Mutex;
use std::{
    io,
    net::{Shutdown, SocketAddr},
    sync::mpsc,
};

#[test]
fn nothing_can_be_sent_after_the_own_end() {
    world::run("fastpath::nothing_can_be_sent_after_the_own_end", |world| {
        for fast in MODES {
            too_late(world, fast);
        }
    });
}

/// The caller ends its direction, everybody has seen that, and it sends more.
pub(crate) fn too_late(world: &World, fast: Fast) {
    let address = SocketAddr::new(World::pod(Way::V4), 9000);
    let (tell, told) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let (tell, released) = (Mutex::new(tell), Mutex::new(released));
    let pod = Backend::serving(&world.pods, address, move |stream, _| {
        // Nobody listens any more when the test has failed.
        let _ = tell.lock().send(to_the_end(&stream));
        let _ = released.lock().recv();
    });
    let gateway = Gateway::start(world, fast, &streams_to(address));
    let mut random = Rng::with_seed(1);
    let stream = connect(&world.caller, World::entrance(Way::V4, true)).expect("the gateway");
    send(&stream, Write::Whole, b"in time", &mut random).expect("the gateway reads");
    stream.shutdown(Shutdown::Write).expect("connected");
    let came = told.recv_timeout(PATIENCE).expect("the pod").expect("the caller's end");
    assert_eq!(came, b"in time");
    // Whoever has not been told that the end has arrived sends through TCP anyway.
    let acknowledged = || world.caller.run("ss -Htn state fin-wait-2").contains("10.96.0.10");
    wait::until("the caller's end to be acknowledged", PATIENCE, || acknowledged().then_some(()));
    let late = send(&stream, Write::Whole, b"too late", &mut random).map_err(|error| error.kind());
    drop((stream, release, gateway, pod));
    assert_eq!(late, Err(io::ErrorKind::BrokenPipe), "sent after the own end, {fast:?}");
}

fn to_the_end(stream: &std::net::TcpStream) -> io::Result<Vec<u8>> {
    let mut reader = Reader::new(stream.try_clone()?, Read::Edge, 512)?;
    let mut came = Vec::new();
    loop {
        let bytes = reader.fill(None)?.to_vec();
        if bytes.is_empty() {
            return Ok(came);
        }
        reader.consume(bytes.len());
        came.extend(bytes);
    }
}
