//! Callers and pods of our own: raw sockets that read and write in every way a program may.

mod backend;
mod client;
mod content;
mod message;
mod options;
mod read;
mod socket;
mod write;

pub(crate) use backend::{Backend, Backends};
pub(crate) use client::{Client, Exchange};
pub(crate) use content::Content;
pub(crate) use message::Head;
pub(crate) use read::{READS, Read, Reader};
pub(crate) use socket::{connect, listen};
pub(crate) use write::{WRITES, Write, send};

use std::time::Duration;

/// After this long a byte that has not come is lost, on a machine that does other things too.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
