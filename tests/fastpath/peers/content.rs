//! Bytes in which every loss, repetition and exchange shows, at the price of a comparison of memory.

use std::{ops::Range, sync::OnceLock};

/// A prime: no buffer is a multiple of it, so that bytes at another place are other bytes.
const PERIOD: usize = 1_048_583;

/// An endless stream of bytes; streams of different seeds differ from each other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Content {
    start: usize,
}

impl Content {
    pub(crate) fn new(seed: u64) -> Self {
        // A multiple of 4096 that is far from that of the next seed.
        let places = u64::try_from(PERIOD).expect("small");
        Self { start: usize::try_from(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) % places).expect("small") }
    }

    /// The bytes in `places`.
    pub(crate) fn bytes(self, places: Range<u64>) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(usize::try_from(places.end - places.start).expect("fits in memory"));
        let mut at = places.start;
        while at < places.end {
            let piece = self.piece(at, places.end - at);
            bytes.extend_from_slice(piece);
            at += piece.len() as u64;
        }
        bytes
    }

    /// Compares `got`, which came at place `at`.
    ///
    /// # Errors
    /// Says where they part, and whether the bytes belong elsewhere.
    pub(crate) fn check(self, at: u64, got: &[u8]) -> Result<(), String> {
        let mut done = 0;
        while done < got.len() {
            let place = at + done as u64;
            let expected = self.piece(place, (got.len() - done) as u64);
            let here = &got[done..done + expected.len()];
            if here != expected {
                let same = here.iter().zip(expected).take_while(|(a, b)| a == b).count();
                return Err(self.describe(place + same as u64, &here[same..]));
            }
            done += expected.len();
        }
        Ok(())
    }

    fn describe(self, place: u64, wrong: &[u8]) -> String {
        let sample = &wrong[..wrong.len().min(16)];
        let elsewhere = pattern().windows(sample.len()).position(|window| window == sample);
        let from = elsewhere.map(|index| (index + PERIOD - self.start % PERIOD) % PERIOD);
        match from {
            Some(from) if sample.len() > 4 => format!("byte {place} is wrong: these bytes belong to place {from}"),
            _ => format!("byte {place} is wrong: {sample:02x?} belong to another stream"),
        }
    }

    fn piece(self, at: u64, limit: u64) -> &'static [u8] {
        let index = usize::try_from((self.start as u64 + at) % PERIOD as u64).expect("small");
        let length = usize::try_from(limit).unwrap_or(usize::MAX).min(PERIOD - index);
        &pattern()[index..index + length]
    }
}

fn pattern() -> &'static [u8] {
    static PATTERN: OnceLock<Vec<u8>> = OnceLock::new();
    PATTERN.get_or_init(|| {
        let mut random = fastrand::Rng::with_seed(1);
        let mut bytes = vec![0; PERIOD];
        random.fill(&mut bytes);
        bytes
    })
}
