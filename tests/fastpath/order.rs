//! Bytes that wait in front of a late reader stay in order, whichever of the two ways each of them came.

use crate::{
    peers::{Backends, Client, Exchange, READS, Read, Write, idle, send},
    scale,
    world::{self, Fast, Gateway, MODES, WAYS, Way, World, everything_to},
};
use fastrand::Rng;
use nix::sys::signal::Signal;
use parking_lot::Mutex;
use std::{thread, time::Duration};

#[test]
fn late_readers_get_bytes_in_order() {
    world::run("fastpath::late_readers_get_bytes_in_order", |world| {
        for fast in MODES {
            late_readers(world, fast);
        }
    });
}

/// Every way to read on both sides, each with writers that pause: TCP drains, the kernel takes over, and back.
fn late_readers(world: &World, fast: Fast) {
    let backends = Backends::start(world);
    let gateway = Gateway::start(world, fast, &everything_to(&backends.services()));
    let before = gateway.counts();
    thread::scope(|scope| {
        for (number, how) in (0..).zip(READS) {
            scope.spawn(move || {
                let mut random = Rng::with_seed(number);
                for round in 0..scale::of(6, 60) {
                    let way = WAYS[round % WAYS.len()];
                    let entrance = World::entrance(way, round % 2 == 0);
                    let mut client = Client::connect(&world.caller, entrance, how, &mut random).expect("the gateway");
                    client.reader().slow_down(random.fork());
                    let exchange = Exchange {
                        write: Write::Slowly,
                        answer: Write::Slowly,
                        slow: true,
                        chunked_up: random.bool(),
                        chunked_down: random.bool(),
                        ..Exchange::new(
                            &Backends::service(way, how),
                            random.usize(0..1 << 20),
                            random.usize(0..1 << 20),
                        )
                    };
                    for _ in 0..2 {
                        client.exchange(&exchange).unwrap_or_else(|wrong| panic!("{wrong}"));
                    }
                }
            });
        }
    });
    backends.assert_content();
    if fast.is_on() {
        let counts = gateway.counts().since(&before);
        assert!(counts.redirected > 0 && counts.passed > 0, "both ways were to be used: {counts:?}");
    }
}

/// The gateway stands still, as on a node that is out of CPU, while callers go on sending: what they send lies in its
/// queues, past TCP while there is room, with TCP after that. Then it goes on.
#[test]
fn a_gateway_that_stands_still_gets_bytes_in_order() {
    world::run("fastpath::a_gateway_that_stands_still_gets_bytes_in_order", |world| {
        for fast in MODES {
            stands_still(world, fast);
        }
    });
}

fn stands_still(world: &World, fast: Fast) {
    const CALLERS: u64 = 4;
    let backends = Backends::start(world);
    let gateway = Gateway::start(world, fast, &everything_to(&backends.services()));
    let service = Backends::service(Way::V4, Read::EdgeShort);
    for round in 0..scale::of(4, 40) {
        let mut random = Rng::with_seed(round as u64);
        // Paired, and with a first exchange behind them.
        let mut clients: Vec<Client> = (0..CALLERS)
            .map(|_| {
                let entrance = World::entrance(Way::V4, round % 2 == 0);
                let mut client =
                    Client::connect(&world.caller, entrance, Read::Edge, &mut random).expect("the gateway");
                client.exchange(&Exchange::new(&service, 1, 1)).unwrap_or_else(|wrong| panic!("{wrong}"));
                client
            })
            .collect();
        gateway.signal(Signal::SIGSTOP);
        let wrong = Mutex::new(Vec::new());
        thread::scope(|scope| {
            for client in &mut clients {
                let exchange =
                    Exchange { write: Write::Slowly, slow: true, ..Exchange::new(&service, 2 << 20, 300_000) };
                let wrong = &wrong;
                scope.spawn(move || wrong.lock().extend(client.exchange(&exchange).err()));
            }
            // In some rounds the daemon counts as dead before it goes on.
            idle(Duration::from_millis(if round % 4 == 3 { 4000 } else { 200 }));
            gateway.signal(Signal::SIGCONT);
        });
        backends.assert_content();
        let wrong: Vec<String> = wrong.into_inner().iter().map(ToString::to_string).collect();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
    backends.assert_content();
}

/// The first bytes of a connection may be sent before its two ends are known to be each other's.
#[test]
fn bytes_sent_before_and_after_the_pairing_stay_in_order() {
    world::run("fastpath::bytes_sent_before_and_after_the_pairing_stay_in_order", |world| {
        for fast in MODES {
            around_the_pairing(world, fast);
        }
    });
}

fn around_the_pairing(world: &World, fast: Fast) {
    let backends = Backends::start(world);
    let _gateway = Gateway::start(world, fast, &everything_to(&backends.services()));
    thread::scope(|scope| {
        for caller in 0..4 {
            scope.spawn(move || {
                let mut random = Rng::with_seed(caller);
                for round in 0..scale::of(150, 3000) {
                    let entrance = World::entrance(WAYS[round % WAYS.len()], random.bool());
                    let how = READS[random.usize(..READS.len())];
                    let mut client = Client::connect(&world.caller, entrance, how, &mut random).expect("the gateway");
                    // A new connection on the other side as well, and a body in many pieces from the first moment.
                    let service = Backends::service(WAYS[random.usize(..WAYS.len())], how);
                    let exchange = Exchange { close: true, ..Exchange::new(&service, 2000, 2000) };
                    let seed = random.u64(..);
                    let request = exchange.request(seed, &mut random);
                    for piece in request.chunks(97) {
                        send(client.reader().stream(), Write::Whole, piece, &mut random).expect("the gateway reads");
                    }
                    client.answer(&exchange, seed).unwrap_or_else(|wrong| panic!("{how:?} {entrance}: {wrong}"));
                }
            });
        }
    });
    backends.assert_content();
}
