//! An endpoint's bytes, in the clear or out of TLS.

use super::socket::Socket;
use bytes::Bytes;
use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::client::TlsStream;

/// See the module.
#[derive(Debug)]
pub(crate) enum Stream {
    Plain(Socket),
    /// Boxed: it is a kilobyte, and most connections have none.
    Tls(Box<TlsStream<Socket>>),
    /// Bytes that were read already, and where the next ones come from.
    Begun(Box<(Bytes, Stream)>),
}

impl Stream {
    /// What lies below.
    pub(crate) fn socket(&self) -> &Socket {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => stream.get_ref().0,
            Self::Begun(begun) => begun.1.socket(),
        }
    }

    /// The stream whose first bytes are `early`.
    pub(super) fn after(self, early: Bytes) -> Self {
        if early.is_empty() { self } else { Self::Begun(Box::new((early, self))) }
    }
}

/// A connection that is closed without the word of TLS has ended all the same, as for Envoy (`SslSocket::doRead` in its
/// source/common/tls/ssl_socket.cc). HTTP sees by itself what is cut off, but for bodies that only the end ends.
pub(crate) fn ended(read: io::Result<()>) -> io::Result<()> {
    match read {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
        read => read,
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf).map(ended),
            Self::Begun(begun) if begun.0.is_empty() => Pin::new(&mut begun.1).poll_read(cx, buf),
            Self::Begun(begun) => {
                let now = begun.0.split_to(begun.0.len().min(buf.remaining()));
                buf.put_slice(&now);
                Poll::Ready(Ok(()))
            }
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Begun(begun) => Pin::new(&mut begun.1).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_write_vectored(cx, bufs),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Begun(begun) => Pin::new(&mut begun.1).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(socket) => socket.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
            Self::Begun(begun) => begun.1.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
            Self::Begun(begun) => Pin::new(&mut begun.1).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Begun(begun) => Pin::new(&mut begun.1).poll_shutdown(cx),
        }
    }
}
