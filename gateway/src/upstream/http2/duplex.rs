//! Bytes both ways on one stream, after an extended CONNECT (RFC 8441).

use super::Place;
use bytes::Bytes;
use h2::{RecvStream, SendStream};
use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// See the module. The stream is reset when this goes before both sides have ended.
#[derive(Debug)]
pub(crate) struct Duplex {
    to: SendStream<Bytes>,
    from: RecvStream,
    /// Has come, and nobody has taken it yet.
    came: Bytes,
    _place: Place,
}

impl Duplex {
    pub(super) const fn new(to: SendStream<Bytes>, from: RecvStream, place: Place) -> Self {
        Self { to, from, came: Bytes::new(), _place: place }
    }
}

impl AsyncRead for Duplex {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        while self.came.is_empty() {
            match ready!(self.from.poll_data(cx)) {
                Some(data) => self.came = data.map_err(broken)?,
                None => return Poll::Ready(Ok(())),
            }
        }
        let now = self.came.len().min(buffer.remaining());
        buffer.put_slice(&self.came.split_to(now));
        // It fails for a stream that has ended, which has no window any more.
        let _released = self.from.flow_control().release_capacity(now).is_ok();
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Duplex {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        if data.is_empty() {
            return Poll::Ready(Ok(0));
        }
        self.to.reserve_capacity(data.len());
        while self.to.capacity() == 0 {
            match ready!(self.to.poll_capacity(cx)) {
                Some(capacity) => _ = capacity.map_err(broken)?,
                None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            }
        }
        let now = data.len().min(self.to.capacity());
        self.to.send_data(Bytes::copy_from_slice(&data[..now]), false).map_err(broken)?;
        Poll::Ready(Ok(now))
    }

    /// The task of the connection writes by itself.
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.to.send_data(Bytes::new(), true).map_err(broken))
    }
}

/// A stream that is reset is to the other side what a connection is that is.
fn broken(error: h2::Error) -> io::Error {
    let kind = if error.is_reset() { io::ErrorKind::ConnectionReset } else { io::ErrorKind::BrokenPipe };
    io::Error::new(kind, error)
}
