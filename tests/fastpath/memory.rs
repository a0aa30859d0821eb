//! Readers that never read: what lies in front of them stays small, and goes when they go.

use crate::{
    peers::{Backend, Backends, Client, Exchange, PATIENCE, Read, Write, connect, idle, send},
    scale,
    world::{self, Fast, Gateway, MODES, Namespace, Way, World, everything_to},
};
use fastrand::Rng;
use harness::wait;
use nix::sys::signal::Signal;
use rustix::net::{SendFlags, send as send_once};
use std::{
    io,
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

/// What may lie in front of one reader, on its side of the connection.
const LIMIT: u64 = 1 << 20;
/// More than all buffers on the way hold.
const MUCH: usize = 64 << 20;

#[test]
fn what_a_caller_never_reads_stays_small() {
    world::run("fastpath::what_a_caller_never_reads_stays_small", |world| {
        bound_tcp(world);
        for fast in MODES {
            for callers in [1, scale::of(30, 100)] {
                unread_answers(world, fast, callers);
            }
        }
    });
}

/// Callers that ask for much and read nothing.
fn unread_answers(world: &World, fast: Fast, callers: usize) {
    let address = SocketAddr::new(World::pod(Way::V4), 9000);
    let _backend = Backend::serving(&world.pods, address, |stream, _| {
        let mut random = Rng::new();
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {MUCH}\r\n\r\n");
        let _ = send(&stream, Write::Whole, head.as_bytes(), &mut random);
        // In the pieces that fill a queue of messages fastest. Ends when the connection does.
        let piece = vec![b'x'; 1400];
        while send(&stream, Write::Whole, &piece, &mut random).is_ok() {}
    });
    let gateway = Gateway::start(world, fast, &everything_to(&[("pod".to_owned(), address)]));
    let entrance = World::entrance(Way::V4, true);
    let callers: Vec<TcpStream> = (0..callers)
        .map(|_| {
            let stream = connect(&world.caller, entrance).expect("the gateway");
            let request = b"GET /pod/x HTTP/1.1\r\nhost: a\r\n\r\n";
            send(&stream, Write::Whole, request, &mut Rng::new()).expect("the gateway reads");
            stream
        })
        .collect();
    stays_small(world);
    drop(callers);
    drop(gateway);
}

#[test]
fn what_a_pod_never_reads_stays_small() {
    world::run("fastpath::what_a_pod_never_reads_stays_small", |world| {
        bound_tcp(world);
        for fast in MODES {
            let address = SocketAddr::new(World::pod(Way::V4), 9000);
            let (release, released) = std::sync::mpsc::channel::<()>();
            let released = parking_lot::Mutex::new(released);
            // Keeps its connections, and looks at none.
            let backend = Backend::serving(&world.pods, address, move |stream, _| {
                let _ = released.lock().recv();
                drop(stream);
            });
            let gateway = Gateway::start(world, fast, &everything_to(&[("pod".to_owned(), address)]));
            let stream = connect(&world.caller, World::entrance(Way::V4, false)).expect("the gateway");
            let head = format!("POST /pod/x HTTP/1.1\r\nhost: a\r\ncontent-length: {MUCH}\r\n\r\n");
            send(&stream, Write::Whole, head.as_bytes(), &mut Rng::new()).expect("the gateway reads");
            let sent = thread::scope(|scope| {
                let sending = scope.spawn(|| until_full(&stream, 1400));
                stays_small(world);
                sending.join().expect("the caller")
            });
            assert!(sent < MUCH, "all of it went somewhere");
            drop((stream, gateway, release, backend));
        }
    });
}

/// The sharpest case: nobody in the gateway reads, and the caller's small messages would go past TCP's own limits.
#[test]
fn what_a_standing_gateway_cannot_read_stays_small() {
    world::run("fastpath::what_a_standing_gateway_cannot_read_stays_small", |world| {
        bound_tcp(world);
        for fast in MODES {
            for size in [64, 1400, 16 << 10, 256 << 10] {
                standing_gateway(world, fast, size);
            }
        }
    });
}

pub(crate) fn standing_gateway(world: &World, fast: Fast, size: usize) {
    let address = SocketAddr::new(World::pod(Way::V4), 9000);
    let backend = Backend::start(&world.pods, address, Read::Level);
    let gateway = Gateway::start(world, fast, &everything_to(&[("pod".to_owned(), address)]));
    let mut random = Rng::new();
    let stream = connect(&world.caller, World::entrance(Way::V4, false)).expect("the gateway");
    // A first exchange, so that the pair is known before the gateway stops.
    let first = Exchange::new("pod", 10, 10).request(1, &mut random);
    send(&stream, Write::Whole, &first, &mut random).expect("the gateway reads");
    wait::until("the first answer", PATIENCE, || (backend.requests() == 1).then_some(()));
    let before = gateway.counts();
    gateway.signal(Signal::SIGSTOP);
    let sent = until_full(&stream, size);
    let queued = largest_queue(&world.node);
    let counts = gateway.counts().since(&before);
    gateway.signal(Signal::SIGCONT);
    println!("{fast:?}, messages of {size}: {sent} bytes accepted, {queued} in the gateway's queue, {counts:?}");
    assert!(queued <= LIMIT, "{queued} bytes lie in front of a gateway that does not read");
    if fast.is_on() {
        assert!(counts.redirected > 0, "the kernel was to move the first of them: {counts:?}");
        assert!(counts.passed_over_budget > 0, "and to leave the rest to TCP: {counts:?}");
    }
    drop(stream);
    wait::until("the gateway to go on", PATIENCE, || gateway.admin("/livez"));
}

/// What should not happen: the budget is not kept. Then a bound that nothing else reaches turns everything off, and says so.
#[test]
fn a_queue_past_every_bound_trips_for_good() {
    world::run("fastpath::a_queue_past_every_bound_trips_for_good", |world| {
        let backends = Backends::start(world);
        let gateway = Gateway::start(world, Fast::Without("memory"), &everything_to(&backends.services()));
        let service = Backends::service(Way::V4, Read::Edge);
        let mut random = Rng::with_seed(1);
        let mut client = Client::connect(&world.caller, World::entrance(Way::V4, true), Read::Edge, &mut random)
            .expect("the gateway");
        client.exchange(&Exchange::new(&service, 10, 10)).unwrap_or_else(|wrong| panic!("{wrong}"));
        gateway.signal(Signal::SIGSTOP);
        // The head promises less than is sent: what follows is never read.
        until_full(client.reader().stream(), 16 << 10);
        gateway.signal(Signal::SIGCONT);
        let status = wait::until("it says so", PATIENCE, || {
            let status = gateway.status();
            (status["tripped"] == true).then_some(status)
        });
        assert_eq!(status["reason"], "a queue grew past every bound the guard knows");
        wait::until("the log says so", PATIENCE, || {
            gateway.process.output().contains("every byte goes through TCP: a queue grew").then_some(())
        });
        let moved = gateway.counts();
        assert!(moved.bytes < 8 << 20, "{moved:?}");
        drop(client);
        let mut client = Client::connect(&world.caller, World::entrance(Way::V4, true), Read::Edge, &mut random)
            .expect("the gateway");
        client.exchange(&Exchange::new(&service, 100_000, 100_000)).unwrap_or_else(|wrong| panic!("{wrong}"));
        assert_eq!(gateway.counts().redirected, moved.redirected, "it was to be off for good");
        backends.assert_content();
    });
}

/// TCP lets a reader that was quick once have 6 MiB in front of it. With half a MiB, the rest of what is seen is not TCP's.
pub(crate) fn bound_tcp(world: &World) {
    for namespace in [&world.caller, &world.node, &world.pods] {
        namespace.sysctl("net/ipv4/tcp_rmem", "4096 131072 524288");
    }
}

/// Sends until nothing has been taken for half a second; answers with the number of bytes.
fn until_full(stream: &TcpStream, size: usize) -> usize {
    let piece = vec![b'x'; size];
    let (mut sent, mut last) = (0, Instant::now());
    while sent < MUCH && last.elapsed() < Duration::from_millis(500) {
        match send_once(stream, &piece, SendFlags::NOSIGNAL | SendFlags::DONTWAIT).map_err(io::Error::from) {
            Ok(count) => {
                sent += count;
                last = Instant::now();
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => idle(Duration::from_millis(5)),
            Err(error) => panic!("after {sent} bytes: {error}"),
        }
    }
    sent
}

/// Watches until the flood has come to rest: something waits to be read, and for a second neither more nor less.
fn stays_small(world: &World) {
    let (mut rest, mut before) = (0, [0; 3]);
    let deadline = Instant::now() + 2 * PATIENCE;
    while rest < 10 {
        let queues = [&world.caller, &world.node, &world.pods].map(queues);
        let largest = queues.each_ref().map(|queues| queues.iter().copied().max().unwrap_or(0));
        assert!(
            largest.iter().all(|queue| *queue <= LIMIT),
            "in front of callers, gateway and pods lie {largest:?} bytes"
        );
        let now = queues.map(|queues| queues.iter().sum::<u64>());
        let rests = now.iter().zip(before).all(|(now, before)| now.abs_diff(before) < 64 << 10);
        rest = if rests && now != [0; 3] { rest + 1 } else { 0 };
        before = now;
        assert!(Instant::now() < deadline, "the flood does not come to rest: {now:?} bytes wait");
        idle(Duration::from_millis(100));
    }
}

/// The largest amount of memory that waits to be read at one socket of `namespace`.
fn largest_queue(namespace: &Namespace) -> u64 {
    queues(namespace).into_iter().max().unwrap_or(0)
}

/// The memory that waits to be read at each socket of `namespace`, as `ss` shows it.
fn queues(namespace: &Namespace) -> Vec<u64> {
    let sockets = namespace.run("ss -Htanm");
    let queue = |line: &str| line.split_once("skmem:(r")?.1.split(',').next()?.parse::<u64>().ok();
    sockets.lines().filter_map(queue).collect()
}
