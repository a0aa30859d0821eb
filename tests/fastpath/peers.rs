//! Callers and pods of our own: raw sockets that read and write in every way a program may.

mod backend;
mod client;
mod content;
mod load;
mod message;
mod options;
mod read;
mod socket;
mod write;

pub(crate) use backend::{Backend, Backends};
pub(crate) use client::{Client, Exchange, Fault};
pub(crate) use content::Content;
pub(crate) use load::Load;
pub(crate) use message::Head;
pub(crate) use read::{READS, Read, Reader, early_returns};
pub(crate) use socket::{connect, connect_blocking, connect_from, listen};
pub(crate) use write::{WRITES, Write, send};

use fastrand::Rng;
use rustix::event::{Timespec, poll};
use std::time::Duration;

/// After this long a byte that has not come is lost, on a machine that does other things too.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Does nothing for a while: a peer that is slow on purpose, not one that waits for something.
pub(crate) fn idle(time: Duration) {
    let limit =
        Timespec { tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX), tv_nsec: time.subsec_nanos().into() };
    let _ = poll(&mut [], Some(&limit));
}

/// In one case of four, some milliseconds.
fn now_and_then(random: &mut Rng) {
    if random.u8(..) < 64 {
        idle(Duration::from_millis(random.u64(1..=5)));
    }
}
