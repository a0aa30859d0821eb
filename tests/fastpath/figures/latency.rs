//! An open loop: requests are sent when they are due, whether earlier ones have been answered or not, and their latency
//! counts from the moment they were due.

use super::stage::Contender;
use crate::{
    peers::{Head, Read, Reader, Write, connect, idle, send},
    world::World,
};
use fastrand::Rng;
use std::{
    thread,
    time::{Duration, Instant},
};

const CONNECTIONS: u32 = 32;

/// p50, p99 and p99.9 in microseconds.
///
/// # Panics
/// When an answer is not the backend's.
pub(super) fn open_loop(world: &World, contender: &Contender, rate: usize, seconds: usize) -> [f64; 3] {
    let rate = u32::try_from(rate).expect("a rate");
    let period = Duration::from_secs(1) * CONNECTIONS / rate;
    let start = Instant::now() + Duration::from_millis(200);
    let end = start + Duration::from_secs(seconds as u64);
    let address = contender.address.parse().expect("an address");
    let mut taken: Vec<Duration> = thread::scope(|scope| {
        let run = |number: u32| {
            move || {
                let stream = connect(&world.caller, address).expect("the contender");
                let mut reader = Reader::new(stream, Read::Edge, 16 << 10).expect("a reader");
                let (mut due, mut taken) = (start + period * number / CONNECTIONS, Vec::new());
                while due < end {
                    if let Some(early) = due.checked_duration_since(Instant::now()) {
                        idle(early);
                    }
                    let request = b"GET /pod/small HTTP/1.1\r\nhost: a\r\n\r\n";
                    send(reader.stream(), Write::Whole, request, &mut Rng::with_seed(1)).expect("sent");
                    let head = Head::read(&mut reader).expect("an answer");
                    assert!(head.start.contains(" 200 "), "{head:?}");
                    head.body(&mut reader, |_, _| {}).expect("a body");
                    taken.push(due.elapsed());
                    due += period;
                }
                taken
            }
        };
        let running: Vec<_> = (0..CONNECTIONS).map(|number| scope.spawn(run(number))).collect();
        running.into_iter().flat_map(|caller| caller.join().expect("a caller")).collect()
    });
    taken.sort_unstable();
    [0.5, 0.99, 0.999].map(|quantile| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "an index"
        )]
        let index = ((taken.len() - 1) as f64 * quantile) as usize;
        taken[index].as_secs_f64() * 1e6
    })
}
