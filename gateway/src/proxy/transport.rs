//! A client's bytes, in the clear or out of TLS.

use crate::upstream::{socket::Socket, stream::ended};
use bytes::{Buf as _, Bytes};
use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::server::TlsStream;

/// See the module.
#[derive(Debug)]
pub(super) enum Transport {
    Plain(Socket),
    /// Bytes that were read to see what is spoken, and the rest.
    Begun(Bytes, Box<Self>),
    /// Boxed: it is a kilobyte, and most connections have none.
    Tls(Box<Secured>),
}

/// What TLS keeps as long as its connection lives.
///
/// mimalloc has pages of their own for blocks of 1025 to 1280 bytes, and for those up to 1536. The fields of a request have a
/// table of 1248 bytes. Where both lie in one page, half of it stays when the request's memory is given back: with a
/// thousand connections that came at once, more than a kilobyte for each.
#[derive(Debug)]
pub(super) struct Secured {
    stream: TlsStream<Socket>,
    _apart: [u64; 8],
}

impl Transport {
    /// Out of TLS, whose handshake is over.
    pub(super) fn secured(stream: TlsStream<Socket>) -> Self {
        Self::Tls(Box::new(Secured { stream, _apart: [0; 8] }))
    }

    /// What lies below.
    pub(super) fn socket(&self) -> &Socket {
        match self {
            Self::Plain(socket) => socket,
            Self::Begun(_, rest) => rest.socket(),
            Self::Tls(secured) => secured.stream.get_ref().0,
        }
    }
}

impl AsyncRead for Transport {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_read(cx, buf),
            Self::Begun(first, rest) if first.is_empty() => Pin::new(&mut **rest).poll_read(cx, buf),
            Self::Begun(first, _) => {
                let length = first.len().min(buf.remaining());
                buf.put_slice(&first[..length]);
                first.advance(length);
                Poll::Ready(Ok(()))
            }
            Self::Tls(secured) => Pin::new(&mut secured.stream).poll_read(cx, buf).map(ended),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_write(cx, buf),
            Self::Begun(_, rest) => Pin::new(&mut **rest).poll_write(cx, buf),
            Self::Tls(secured) => Pin::new(&mut secured.stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_write_vectored(cx, bufs),
            Self::Begun(_, rest) => Pin::new(&mut **rest).poll_write_vectored(cx, bufs),
            Self::Tls(secured) => Pin::new(&mut secured.stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(socket) => socket.is_write_vectored(),
            Self::Begun(_, rest) => rest.is_write_vectored(),
            Self::Tls(secured) => secured.stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_flush(cx),
            Self::Begun(_, rest) => Pin::new(&mut **rest).poll_flush(cx),
            Self::Tls(secured) => Pin::new(&mut secured.stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_shutdown(cx),
            Self::Begun(_, rest) => Pin::new(&mut **rest).poll_shutdown(cx),
            Self::Tls(secured) => Pin::new(&mut secured.stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Secured;

    #[test]
    fn tls_lies_apart_from_the_fields_of_requests() {
        let size = size_of::<Secured>();
        assert!((1281..=1536).contains(&size), "{size} bytes are in a page with other things: change `_apart`");
    }
}
