//! How much of a connection of HTTP/2 is read before others have their turn.
//!
//! h2 reads frames for as long as there are any, and what a few bytes make it do is the sender's choice: a megabyte of PINGs
//! is sixty thousand answers. So bytes are counted by what they cause, and whoever has sent many goes on in the slow lane.

use crate::proxy::lane::{Lane, Place, ROUND};
use std::{
    cell::Cell,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Of one turn, in bytes as [`Frames::read`] counts them: a hundred PINGs, eighteen small requests, 32 KiB of bodies.
const TURN: usize = 2048;

/// A request costs this much more than its bytes say: each has a task of its own, which comes before whoever is ready next.
const REQUEST: usize = 96;

/// A request that is taken back has cost as much as one that is not, and nobody waits for its answer (CVE-2023-44487): who
/// does so again and again is the last one whose turn it is.
const RESET: usize = 1024;

/// Read at once of what is no body: what that costs is known only behind it.
const PIECE: usize = 512;

/// Bodies pass through, and are held back by their windows: so many bytes of them count for one.
const BODY_SHARE: usize = 16;

/// Of a frame's head: three bytes of length, one of type, one of flags, four of the stream (RFC 9113 §4.1).
const HEAD: usize = 9;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const WINDOW_UPDATE: u8 = 8;

/// A connection, read in turns.
#[derive(Debug)]
pub(super) struct Paced<S> {
    stream: S,
    frames: Frames,
    /// What has been read in this turn, beyond it too: the rest is taken off the next one.
    used: usize,
    lane: Rc<Lane>,
    place: Place,
    resets: Rc<Resets>,
    /// What is read next is not of the same go as what was read before.
    is_new: bool,
}

/// Whether there are requests that may be over already in what has been read in one go.
#[derive(Debug, Default)]
pub(super) struct Resets(Cell<bool>);

/// Where frames begin and end.
#[derive(Debug)]
struct Frames {
    /// Bytes of the present frame, or of the connection's preface, that are still to come.
    rest: usize,
    is_data: bool,
    head: [u8; HEAD],
    /// How much of `head` has come.
    known: usize,
    /// Frames so far that may end a request.
    resets: u64,
}

impl<S> Paced<S> {
    /// `stream`, on which nothing has been read: it begins with the preface (RFC 9113 §3.4).
    pub(super) fn new(stream: S, lane: Rc<Lane>) -> Self {
        const PREFACE: usize = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".len();
        let frames = Frames { rest: PREFACE, is_data: false, head: [0; HEAD], known: 0, resets: 0 };
        Self { stream, frames, used: 0, lane, place: Place::default(), resets: Rc::default(), is_new: true }
    }

    /// Whether requests are being taken back, or made to fail, now and later.
    pub(super) fn resets(&self) -> Rc<Resets> {
        Rc::clone(&self.resets)
    }
}

impl Resets {
    pub(super) fn are_here(&self) -> bool {
        self.0.get()
    }
}

impl Frames {
    /// Notes that `bytes` have come. Returns what they count.
    fn read(&mut self, mut bytes: &[u8]) -> usize {
        let mut count = 0;
        while !bytes.is_empty() {
            if self.rest == 0 {
                let (head, others) = bytes.split_at(bytes.len().min(HEAD - self.known));
                self.head[self.known..self.known + head.len()].copy_from_slice(head);
                self.known += head.len();
                bytes = others;
                count += head.len();
                if self.known == HEAD {
                    count += self.begin();
                }
            } else {
                let part = bytes.len().min(self.rest);
                self.rest -= part;
                bytes = &bytes[part..];
                count += if self.is_data { part / BODY_SHARE } else { part };
            }
        }
        count
    }

    /// Goes on behind a head that has come. Returns what the frame counts beside its bytes.
    fn begin(&mut self) -> usize {
        let [a, b, c, kind, _, stream @ ..] = self.head;
        self.rest = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        self.is_data = kind == DATA;
        self.known = 0;
        match kind {
            HEADERS => REQUEST,
            RST_STREAM => {
                self.resets += 1;
                RESET
            }
            // A window that overflows makes us reset its stream (CVE-2025-8671).
            WINDOW_UPDATE if stream != [0; 4] => {
                self.resets += 1;
                0
            }
            _ => 0,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        while this.used >= TURN {
            if this.lane.poll_turn(&mut this.place, cx).is_pending() {
                this.is_new = true;
                return Poll::Pending;
            }
            this.lane.charge(ROUND);
            this.used -= TURN;
        }
        let piece = PIECE.min(TURN - this.used);
        let before = buf.filled().len();
        let is_body = this.frames.is_data && this.frames.rest > 0;
        let read = if is_body || buf.remaining() <= piece {
            Pin::new(&mut this.stream).poll_read(cx, buf)
        } else {
            let mut part = ReadBuf::new(buf.initialize_unfilled_to(piece));
            let read = Pin::new(&mut this.stream).poll_read(cx, &mut part);
            let length = part.filled().len();
            buf.advance(length);
            read
        };
        if read.is_pending() {
            this.used = 0;
            this.is_new = true;
        } else {
            let resets = this.frames.resets;
            this.used += this.frames.read(&buf.filled()[before..]);
            let is_here = this.frames.resets > resets;
            this.resets.0.set(is_here || this.resets.0.get() && !this.is_new);
            this.is_new = false;
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
