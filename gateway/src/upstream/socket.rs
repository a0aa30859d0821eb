//! A TCP stream as both sides of the gateway use it.

use super::flow::Flow;
use crate::fastpath::Sockets;
use smallvec::SmallVec;
use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// A head and a body of so many bytes together are copied into one piece: send(2) of one piece costs the kernel less than
/// writev(2) of a list, by more than the copy.
const SMALL_MESSAGE: usize = 2048;

/// A TCP stream that may have a second queue on both sides, where the kernel moves bytes past TCP: its reads go on until
/// nothing is left in either, and its writes leave the reader time to catch up.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: TcpStream,
    /// `None` where there is only TCP. Boxed: a socket has its place in several states of a connection.
    flow: Option<Box<Flow>>,
}

impl Socket {
    /// Wraps `stream`, whose Nagle's algorithm is off: every write of ours is a whole message or a full buffer.
    pub(crate) fn new(stream: TcpStream, fastpath: Option<&Sockets>) -> Self {
        Self { stream, flow: fastpath.map(|sockets| Box::new(Flow::new(sockets.clone()))) }
    }

    /// Of our end; `None` when the connection has gone.
    pub(crate) fn local_address(&self) -> Option<SocketAddr> {
        self.stream.local_addr().ok()
    }

    /// From now on closing it resets the connection, as the other side of it has been reset.
    pub(crate) fn reset_on_close(&self) -> io::Result<()> {
        socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO))
    }

    /// Ready when something has come since a read found nothing, be it the end.
    pub(crate) fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.poll_read_ready(cx)
    }

    /// How many of `wanted` bytes may be written now.
    fn poll_room(&mut self, wanted: usize, cx: &mut Context<'_>) -> Poll<usize> {
        match &mut self.flow {
            Some(flow) if wanted > 0 => flow.poll_room(&self.stream, wanted, cx),
            _ => Poll::Ready(wanted),
        }
    }

    fn wrote(&mut self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let (Some(flow), Poll::Ready(Ok(bytes))) = (&mut self.flow, &written) {
            flow.wrote(*bytes);
        }
        written
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.flow.is_none() {
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
        let room = ready!(self.poll_room(buf.len(), cx));
        let written = Pin::new(&mut self.stream).poll_write(cx, &buf[..room.min(buf.len())]);
        self.wrote(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wanted = bufs.iter().map(|buf| buf.len()).sum();
        let room = ready!(self.poll_room(wanted, cx));
        let stream = Pin::new(&mut self.stream);
        let written = match bufs {
            [only] => stream.poll_write(cx, &only[..room.min(only.len())]),
            _ if wanted <= SMALL_MESSAGE && room >= wanted => {
                let mut whole = SmallVec::<[u8; SMALL_MESSAGE]>::new();
                for buf in bufs {
                    whole.extend_from_slice(buf);
                }
                stream.poll_write(cx, &whole)
            }
            _ if room >= wanted => stream.poll_write_vectored(cx, bufs),
            _ => {
                let first = bufs.iter().find(|buf| !buf.is_empty()).map_or(&[][..], |buf| buf);
                stream.poll_write(cx, &first[..room.min(first.len())])
            }
        };
        self.wrote(written)
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
