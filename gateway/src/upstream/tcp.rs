//! A TCP connection that the event loop may not know yet.
//!
//! Telling epoll of a connection, and that it is over, takes two system calls. A client that asks once and leaves needs
//! neither: its request has come with it, and its answer fits into the kernel's buffer. So a connection that is accepted
//! begins unknown, and becomes known with the first wait for it.

use std::{
    io::{self, IoSlice, Read as _, Write as _},
    mem,
    net::{Shutdown, SocketAddr},
    os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd},
    pin::Pin,
    task::{Context, Poll},
};
use tokio::{io::AsyncWrite as _, net::TcpStream};

/// What is written to an unknown connection is outside of tokio's measure of what one task may do at a time.
const UNKNOWN_WRITES: u8 = 2;

#[derive(Debug)]
pub(super) enum Tcp {
    Unknown {
        stream: mio::net::TcpStream,
        writes: u8,
    },
    Known(TcpStream),
    /// The event loop has no room for it.
    Lost,
}

impl Tcp {
    pub(super) fn unknown(stream: mio::net::TcpStream) -> Self {
        Self::Unknown { stream, writes: 0 }
    }

    pub(super) fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown { .. })
    }

    /// As one that the event loop knows.
    ///
    /// # Errors
    /// Those of epoll_ctl(2).
    pub(super) fn known(&mut self) -> io::Result<&mut TcpStream> {
        if self.is_unknown()
            && let Self::Unknown { stream, .. } = mem::replace(self, Self::Lost)
        {
            *self = Self::Known(TcpStream::from_std(stream.into())?);
        }
        match self {
            Self::Known(stream) => Ok(stream),
            _ => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// How much has come with a connection that is unknown, put at the beginning of `buffer`. `None` for one that is known,
    /// and when there is nothing, or the end.
    pub(super) fn read_first(&mut self, buffer: &mut [u8]) -> Option<usize> {
        match self {
            Self::Unknown { stream, .. } => stream.read(buffer).ok().filter(|&length| length > 0),
            _ => None,
        }
    }

    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if let Some(written) = self.write_now(|stream| stream.write(buf)) {
            return Poll::Ready(written);
        }
        match self.known() {
            Ok(stream) => Pin::new(stream).poll_write(cx, buf),
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    pub(super) fn poll_write_vectored(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let Some(written) = self.write_now(|stream| stream.write_vectored(bufs)) {
            return Poll::Ready(written);
        }
        match self.known() {
            Ok(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    /// `None` when it must be made known for this.
    fn write_now(
        &mut self,
        write: impl FnOnce(&mut mio::net::TcpStream) -> io::Result<usize>,
    ) -> Option<io::Result<usize>> {
        let Self::Unknown { stream, writes } = self else { return None };
        if *writes == UNKNOWN_WRITES {
            return None;
        }
        *writes += 1;
        match write(stream) {
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => None,
            written => Some(written),
        }
    }

    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Unknown { stream, .. } => Poll::Ready(stream.shutdown(Shutdown::Write)),
            Self::Known(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Lost => Poll::Ready(Ok(())),
        }
    }

    /// Of our end; `None` when the connection has gone.
    pub(super) fn local_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Unknown { stream, .. } => stream.local_addr().ok(),
            Self::Known(stream) => stream.local_addr().ok(),
            Self::Lost => None,
        }
    }

    /// `None` when it has been closed.
    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Unknown { stream, .. } => Some(stream.as_fd()),
            Self::Known(stream) => Some(stream.as_fd()),
            Self::Lost => None,
        }
    }
}

impl AsRawFd for Tcp {
    fn as_raw_fd(&self) -> RawFd {
        // No descriptor has this number.
        self.descriptor().map_or(-1, |descriptor| descriptor.as_raw_fd())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{future::poll_fn, net};
    use tokio::io::AsyncReadExt as _;

    /// A caller, and its connection as it is accepted.
    fn connected() -> (net::TcpStream, Tcp) {
        let listener = mio::net::TcpListener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let caller = net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (accepted, _peer) = listener.accept().unwrap();
        (caller, Tcp::unknown(accepted))
    }

    /// What the first read finds, once something has come.
    fn first(tcp: &mut Tcp) -> Vec<u8> {
        let mut buffer = [0; 16];
        loop {
            if let Some(length) = tcp.read_first(&mut buffer) {
                return buffer[..length].to_vec();
            }
        }
    }

    #[tokio::test]
    async fn who_asks_once_is_never_made_known() {
        let (mut caller, mut tcp) = connected();
        assert_eq!(tcp.read_first(&mut [0; 16]), None, "nothing has come");
        caller.write_all(b"ask").unwrap();
        assert_eq!(first(&mut tcp), b"ask");
        assert_eq!(poll_fn(|cx| tcp.poll_write(cx, b"answer")).await.unwrap(), 6);
        poll_fn(|cx| tcp.poll_shutdown(cx)).await.unwrap();
        assert!(tcp.is_unknown());
        let mut answer = String::new();
        caller.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "answer");
    }

    #[tokio::test]
    async fn what_comes_before_and_after_it_is_known_is_read() {
        let (mut caller, mut tcp) = connected();
        caller.write_all(b"one").unwrap();
        assert_eq!(first(&mut tcp), b"one");
        caller.write_all(b"two").unwrap();
        let mut bytes = [0; 3];
        tcp.known().unwrap().read_exact(&mut bytes).await.unwrap();
        assert_eq!(&bytes, b"two");
        assert_eq!(tcp.read_first(&mut [0; 16]), None, "it is known");
    }

    #[tokio::test]
    async fn who_takes_nothing_is_made_known_and_waited_for() {
        let (mut caller, mut tcp) = connected();
        let piece = vec![b'x'; 1 << 20];
        let mut written = 0;
        let mut waits = poll_fn(|cx| {
            while let Poll::Ready(bytes) = tcp.poll_write(cx, &piece) {
                written += bytes.unwrap();
            }
            Poll::Ready(())
        });
        (&mut waits).await;
        drop(waits);
        assert!(!tcp.is_unknown());
        let mut taken = vec![0; written];
        caller.read_exact(&mut taken).unwrap();
        assert_eq!(poll_fn(|cx| tcp.poll_write(cx, b"more")).await.unwrap(), 4);
    }

    #[tokio::test]
    async fn many_writes_make_it_known() {
        let (_caller, mut tcp) = connected();
        for _ in 0..=UNKNOWN_WRITES {
            assert_eq!(poll_fn(|cx| tcp.poll_write(cx, b"x")).await.unwrap(), 1);
        }
        assert!(!tcp.is_unknown(), "tokio counts from here");
    }
}
