//! The ways to write.

use super::{now_and_then, options, socket::until};
use fastrand::Rng;
use parking_lot::Mutex;
use rustix::{
    event::PollFlags,
    fs::{MemfdFlags, memfd_create, sendfile},
    net::{SendFlags, send as send_with, sockopt::set_tcp_cork},
    pipe::{PipeFlags, SpliceFlags, pipe_with, splice},
};
use std::{
    collections::VecDeque,
    fs::File,
    io::{self, IoSlice, Write as _},
    net::TcpStream,
    sync::Arc,
};

/// MSG_ZEROCOPY, which rustix does not name.
const ZEROCOPY: SendFlags = SendFlags::from_bits_retain(0x0400_0000);

/// How a peer writes a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Write {
    Whole,
    /// In pieces of random sizes.
    Splits,
    /// With 1 to 64 vectors of random sizes a call.
    Vectored,
    Sendfile,
    /// Every piece but the last with MSG_MORE.
    More,
    /// In pieces, under TCP_CORK.
    Cork,
    Zerocopy,
    /// From a pipe.
    Splice,
    /// In pieces, with pauses.
    Slowly,
}

pub(crate) const WRITES: [Write; 9] = [
    Write::Whole,
    Write::Splits,
    Write::Vectored,
    Write::Sendfile,
    Write::More,
    Write::Cork,
    Write::Zerocopy,
    Write::Splice,
    Write::Slowly,
];

impl Write {
    /// A name that fits in a header field.
    pub(crate) fn name(self) -> String {
        format!("{self:?}")
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        WRITES.into_iter().find(|write| write.name() == name)
    }
}

/// Sends all of `bytes`.
pub(crate) fn send(stream: &TcpStream, how: Write, bytes: &[u8], random: &mut Rng) -> io::Result<()> {
    match how {
        Write::Whole => all(stream, bytes, SendFlags::empty()),
        Write::Splits => pieces(bytes, random).try_for_each(|piece| all(stream, piece, SendFlags::empty())),
        Write::Vectored => vectored(stream, bytes, random),
        Write::Sendfile => from_file(stream, bytes),
        Write::More => {
            let pieces: Vec<&[u8]> = pieces(bytes, random).collect();
            let last = pieces.len() - 1;
            pieces.iter().enumerate().try_for_each(|(index, piece)| {
                all(stream, piece, if index == last { SendFlags::empty() } else { SendFlags::MORE })
            })
        }
        Write::Cork => {
            set_tcp_cork(stream, true)?;
            pieces(bytes, random).try_for_each(|piece| all(stream, piece, SendFlags::empty()))?;
            Ok(set_tcp_cork(stream, false)?)
        }
        Write::Zerocopy => {
            options::set_zerocopy(stream)?;
            let kept = keep(bytes);
            pieces(&kept, random).try_for_each(|piece| all(stream, piece, ZEROCOPY))
        }
        Write::Slowly => {
            let pieces: Vec<&[u8]> = pieces(bytes, random).collect();
            pieces.into_iter().try_for_each(|piece| {
                now_and_then(random);
                all(stream, piece, SendFlags::empty())
            })
        }
        Write::Splice => from_pipe(stream, bytes),
    }
}

/// A copy that stays where it is for as long as the kernel may look at it: until 64 MiB more have been sent this way,
/// which is long after the last byte of it was read.
fn keep(bytes: &[u8]) -> Arc<[u8]> {
    static KEPT: Mutex<VecDeque<Arc<[u8]>>> = Mutex::new(VecDeque::new());
    let copy: Arc<[u8]> = bytes.into();
    let mut kept = KEPT.lock();
    kept.push_back(Arc::clone(&copy));
    while kept.iter().map(|buffer| buffer.len().max(16 << 10)).sum::<usize>() > 64 << 20 {
        kept.pop_front();
    }
    copy
}

/// `bytes` cut at random: a few bytes here, some kilobytes there, at most about 20 pieces.
fn pieces<'a>(bytes: &'a [u8], random: &mut Rng) -> impl Iterator<Item = &'a [u8]> {
    let step = bytes.len() / 16 + 1;
    let sizes: Vec<usize> =
        (0..16).map(|_| if random.bool() { random.usize(1..=8) } else { random.usize(1..=2 * step) }).collect();
    let mut rest = bytes;
    let mut sizes = sizes.into_iter();
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let size = sizes.next().unwrap_or(rest.len()).min(rest.len());
        let (piece, after) = rest.split_at(size);
        rest = after;
        Some(piece)
    })
}

fn all(stream: &TcpStream, mut bytes: &[u8], flags: SendFlags) -> io::Result<()> {
    while !bytes.is_empty() {
        match send_with(stream, bytes, flags | SendFlags::NOSIGNAL) {
            Ok(sent) => bytes = &bytes[sent..],
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::AGAIN) => until(stream, PollFlags::OUT)?,
            // Too many zero-copy notices wait, or too many pages are pinned: an ordinary send helps.
            Err(rustix::io::Errno::NOBUFS) if flags == ZEROCOPY => return all(stream, bytes, SendFlags::empty()),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Repeats a write to a socket that may have no room.
fn retry(stream: &TcpStream, mut write: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match write() {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => until(stream, PollFlags::OUT)?,
            other => return other,
        }
    }
}

fn vectored(stream: &TcpStream, mut bytes: &[u8], random: &mut Rng) -> io::Result<()> {
    while !bytes.is_empty() {
        let count = random.usize(1..=64);
        let size = random.usize(1..=(bytes.len() / count).max(1));
        let vectors: Vec<IoSlice<'_>> = bytes.chunks(size).take(count).map(IoSlice::new).collect();
        bytes = &bytes[retry(stream, || (&mut &*stream).write_vectored(&vectors))?..];
    }
    Ok(())
}

fn from_file(stream: &TcpStream, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::from(memfd_create("body", MemfdFlags::CLOEXEC)?);
    file.write_all(bytes)?;
    let (mut at, end) = (0, bytes.len() as u64);
    while at < end {
        let rest = usize::try_from(end - at).map_err(io::Error::other)?;
        retry(stream, || Ok(sendfile(stream, &file, Some(&mut at), rest)?))?;
    }
    Ok(())
}

fn from_pipe(stream: &TcpStream, bytes: &[u8]) -> io::Result<()> {
    let (out, into) = pipe_with(PipeFlags::CLOEXEC)?;
    let mut into = File::from(into);
    // A pipe holds 64 KiB.
    for piece in bytes.chunks(32 << 10) {
        into.write_all(piece)?;
        let mut left = piece.len();
        while left > 0 {
            left -= retry(stream, || Ok(splice(&out, None, stream, None, left, SpliceFlags::empty())?))?;
        }
    }
    Ok(())
}
