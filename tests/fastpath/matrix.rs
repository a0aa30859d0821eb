//! Every way to reach the gateway × every way to read × every way to write × every size: each byte in its place.

use crate::{
    peers::{Backends, Client, Exchange, READS, WRITES, early_returns},
    scale,
    world::{self, Fast, Gateway, WAYS, World, everything_to},
};
use fastrand::Rng;
use parking_lot::Mutex;
use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

/// Callers at the same time.
const CALLERS: u64 = 6;
/// Bodies: nothing, a byte, a head's worth, what one message carries, and more than any buffer holds at once.
const SIZES: [(usize, usize); 5] = [(0, 3), (1, 8), (300, 30), (16 << 10, 10), (1 << 20, 1)];

#[test]
fn every_byte_arrives_in_its_place_through_the_kernel() {
    world::run("fastpath::every_byte_arrives_in_its_place_through_the_kernel", |world| {
        matrix(world, Fast::Require, scale::of(3000, 100_000));
    });
}

#[test]
fn every_byte_arrives_in_its_place_through_userspace() {
    world::run("fastpath::every_byte_arrives_in_its_place_through_userspace", |world| {
        matrix(world, Fast::Off, scale::of(1000, 20_000));
    });
}

/// Opens `connections`, each for one to four requests.
fn matrix(world: &World, fast: Fast, connections: usize) {
    let backends = Backends::start(world);
    let gateway = Gateway::start(world, fast, &everything_to(&backends.services()));
    let next = AtomicUsize::new(0);
    let wrong = Mutex::new(Vec::new());
    let sent = AtomicUsize::new(0);
    thread::scope(|scope| {
        for caller in 0..CALLERS {
            let (next, wrong, sent) = (&next, &wrong, &sent);
            scope.spawn(move || {
                let mut random = Rng::with_seed(caller);
                while next.fetch_add(1, Ordering::Relaxed) < connections && wrong.lock().len() < 5 {
                    match connection(world, &mut random) {
                        Ok(requests) => sent.fetch_add(requests, Ordering::Relaxed),
                        Err(error) => {
                            wrong.lock().push(error);
                            0
                        }
                    };
                }
            });
        }
    });
    println!(
        "{connections} connections, {} requests, by direction {:#?}",
        sent.load(Ordering::Relaxed),
        gateway.directions()
    );
    println!("{} blocking reads came back early", early_returns());
    let wrong = wrong.into_inner();
    assert!(wrong.is_empty(), "{} connections went wrong:\n{}", wrong.len(), wrong.join("\n"));
    backends.assert_content();
    assert_eq!(backends.requests(), sent.load(Ordering::Relaxed) as u64, "every request was answered by a backend");
    let counts = gateway.counts();
    if fast.is_on() {
        // Head and answer of nearly every exchange are small: on both legs they are two messages each.
        assert!(counts.redirected > sent.load(Ordering::Relaxed) as u64, "the kernel moved too little: {counts:?}");
    } else {
        assert_eq!(counts.redirected, 0, "the kernel was to stay away");
    }
}

/// One connection with a few random exchanges on it; answers with their number.
fn connection(world: &World, random: &mut Rng) -> Result<usize, String> {
    let way = WAYS[random.usize(..WAYS.len())];
    let entrance = World::entrance(way, random.bool());
    let how = READS[random.usize(..READS.len())];
    let mut client = Client::connect(&world.caller, entrance, how, random)
        .map_err(|error| format!("{entrance} cannot be reached: {error}"))?;
    if random.u8(..) < 16 {
        client.reader().slow_down(random.fork());
    }
    let requests = random.usize(1..=4);
    for number in 0..requests {
        let exchange = Exchange {
            service: Backends::service(WAYS[random.usize(..WAYS.len())], READS[random.usize(..READS.len())]),
            up: size(random),
            down: size(random),
            write: WRITES[random.usize(..WRITES.len())],
            answer: WRITES[random.usize(..WRITES.len())],
            chunked_up: random.bool(),
            chunked_down: random.bool(),
            close: random.u8(..) < 64,
            slow: random.u8(..) < 16,
        };
        let done = client.exchange(&exchange);
        done.map_err(|error| format!("{how:?} through {entrance}, request {number}: {error}"))?;
    }
    Ok(requests)
}

fn size(random: &mut Rng) -> usize {
    let total: usize = SIZES.iter().map(|(_, weight)| weight).sum();
    let mut ticket = random.usize(..total);
    for (size, weight) in SIZES {
        if ticket < weight {
            return size;
        }
        ticket -= weight;
    }
    0
}
