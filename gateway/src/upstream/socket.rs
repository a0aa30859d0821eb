//! A TCP stream as both sides of the gateway use it.

use smallvec::SmallVec;
use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// A head and a body of so many bytes together are copied into one piece: send(2) of one piece costs the kernel less than
/// writev(2) of a list, by more than the copy.
const SMALL_MESSAGE: usize = 2048;

/// A TCP stream whose reads can be told to go on until the kernel has nothing left.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: TcpStream,
    read_until_blocked: bool,
}

impl Socket {
    /// Wraps `stream` and switches Nagle's algorithm off: every write of ours is a whole message or a full buffer.
    pub(crate) fn new(stream: TcpStream, read_until_blocked: bool) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self { stream, read_until_blocked })
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.read_until_blocked {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        // Tokio takes a short read for "nothing left" and waits for the next edge of epoll. With a sockmap, bytes may lie
        // in a second queue that this edge has already announced; only EAGAIN says that both are empty.
        loop {
            ready!(self.stream.poll_read_ready(cx))?;
            match self.stream.try_read_buf(buf) {
                Ok(_) => return Poll::Ready(Ok(())),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let stream = Pin::new(&mut self.stream);
        match bufs {
            [only] => stream.poll_write(cx, only),
            _ if bufs.iter().map(|buf| buf.len()).sum::<usize>() <= SMALL_MESSAGE => {
                let mut whole = SmallVec::<[u8; SMALL_MESSAGE]>::new();
                for buf in bufs {
                    whole.extend_from_slice(buf);
                }
                stream.poll_write(cx, &whole)
            }
            _ => stream.poll_write_vectored(cx, bufs),
        }
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
