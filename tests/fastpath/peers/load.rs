//! Callers that go on sending requests of every kind while something else happens.

use super::{Backends, Client, Exchange, Fault, READS, WRITES};
use crate::world::{WAYS, World};
use fastrand::Rng;
use parking_lot::Mutex;
use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
};

/// What the callers do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) callers: u64,
    /// The largest body.
    pub(crate) largest: usize,
    /// Slow readers are among them.
    pub(crate) slow: bool,
}

/// What has become of their requests.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) good: u64,
    /// Requests whose connection ended before their answer.
    pub(crate) broken: Vec<String>,
    /// Requests that were answered by somebody else than the backend.
    pub(crate) other: Vec<String>,
}

impl Tally {
    /// # Panics
    /// When a request failed.
    pub(crate) fn assert_all_good(&self) {
        assert!(self.broken.is_empty(), "{} connections broke; the first: {}", self.broken.len(), self.broken[0]);
        assert!(self.other.is_empty(), "{} answers were others; the first: {}", self.other.len(), self.other[0]);
        assert!(self.good > 0, "nothing was sent");
    }
}

impl Load {
    pub(crate) fn new(callers: u64, largest: usize) -> Self {
        Self { callers, largest, slow: false }
    }

    /// Runs the callers until `meanwhile` has returned. `meanwhile` can ask how many requests have been answered.
    ///
    /// # Panics
    /// When a byte is wrong, at a caller or at a backend.
    pub(crate) fn during(self, world: &World, backends: &Backends, meanwhile: impl FnOnce(&AtomicU64)) -> Tally {
        let (stop, good) = (AtomicBool::new(false), AtomicU64::new(0));
        let tally = Mutex::new(Tally::default());
        thread::scope(|scope| {
            for caller in 0..self.callers {
                let (stop, good, tally) = (&stop, &good, &tally);
                scope.spawn(move || self.call(world, caller, stop, good, tally));
            }
            let _stop = Stop(&stop);
            meanwhile(&good);
        });
        backends.assert_content();
        Tally { good: good.into_inner(), ..tally.into_inner() }
    }

    fn call(self, world: &World, caller: u64, stop: &AtomicBool, good: &AtomicU64, tally: &Mutex<Tally>) {
        let mut random = Rng::with_seed(caller);
        while !stop.load(Ordering::Relaxed) {
            let entrance = World::entrance(WAYS[random.usize(..WAYS.len())], random.bool());
            let how = READS[random.usize(..READS.len())];
            let mut client = match Client::connect(&world.caller, entrance, how, &mut random) {
                Ok(client) => client,
                Err(error) => {
                    tally.lock().broken.push(format!("{entrance} cannot be reached: {error}"));
                    continue;
                }
            };
            if self.slow && random.u8(..) < 4 {
                client.reader().slow_down(random.fork());
            }
            for _ in 0..random.usize(1..100) {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let told = |text| format!("{how:?} through {entrance}: {text}");
                match client.exchange(&self.exchange(&mut random)) {
                    Ok(()) => _ = good.fetch_add(1, Ordering::Relaxed),
                    Err(fault @ Fault::Wrong(_)) => panic!("{}", told(fault.to_string())),
                    Err(Fault::Broken(text)) => {
                        tally.lock().broken.push(told(text));
                        break;
                    }
                    Err(Fault::Status(text)) => {
                        tally.lock().other.push(told(text));
                        break;
                    }
                }
            }
        }
    }

    fn exchange(self, random: &mut Rng) -> Exchange {
        // Mostly small, now and then as large as it may be.
        let mut size = || {
            let limit = match random.u8(..) {
                0..160 => 100,
                160..224 => 2000,
                224..252 => 20_000,
                _ => self.largest,
            };
            random.usize(0..=limit.min(self.largest))
        };
        let (up, down) = (size(), size());
        let service = Backends::service(WAYS[random.usize(..WAYS.len())], READS[random.usize(..READS.len())]);
        Exchange {
            write: WRITES[random.usize(..WRITES.len())],
            answer: WRITES[random.usize(..WRITES.len())],
            chunked_up: random.bool(),
            chunked_down: random.bool(),
            close: random.u8(..) < 8,
            slow: self.slow && random.u8(..) == 0,
            ..Exchange::new(&service, up, down)
        }
    }
}

/// Also when `meanwhile` panics.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
