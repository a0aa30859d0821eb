//! One connection with at most one request on its way.

use crate::expected::{Expected, field};
use anyhow::{Context, bail};
use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    os::fd::{AsFd, BorrowedFd},
    time::Instant,
};

/// A request that has been sent and not answered.
#[derive(Debug)]
struct Sent {
    /// When it was to be sent.
    due: Instant,
    /// Which of the expected requests it is.
    which: usize,
}

/// Never blocks.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    sent: Option<Sent>,
    read: Vec<u8>,
    /// Head and body of the answer, in bytes, once the head is there.
    whole: Option<(usize, usize)>,
}

/// What became of a request.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) due: Instant,
    /// What is wrong with it.
    pub(crate) complaint: Option<String>,
}

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).with_context(|| format!("connect to {address}"))?;
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, sent: None, read: Vec::with_capacity(4096), whole: None })
    }

    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    /// A small request always fits into an empty socket.
    pub(crate) fn send(&mut self, expected: &[Expected], which: usize, due: Instant) -> anyhow::Result<()> {
        self.stream.write_all(&expected[which].request).context("send a request")?;
        self.sent = Some(Sent { due, which });
        Ok(())
    }

    /// The answer, if all of it is there.
    ///
    /// # Errors
    /// When the connection has ended or speaks no HTTP.
    pub(crate) fn poll(&mut self, expected: &[Expected]) -> anyhow::Result<Option<Answer>> {
        let mut chunk = [0; 64 << 10];
        loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => bail!("the connection ended"),
                Ok(count) => self.read.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("receive an answer"),
            }
        }
        if self.whole.is_none() {
            let Some(end) = self.read.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
            let head = std::str::from_utf8(&self.read[..end]).context("a head that is no text")?;
            let length = field(head, "content-length").with_context(|| format!("no length in {head:?}"))?;
            self.whole = Some((end, length.parse().with_context(|| format!("no length: {length:?}"))?));
        }
        let Some((end, length)) = self.whole.filter(|(end, length)| self.read.len() >= end + 4 + length) else {
            return Ok(None);
        };
        if self.read.len() > end + 4 + length {
            bail!("{} bytes that nobody asked for", self.read.len() - end - 4 - length);
        }
        let sent = self.sent.take().context("an answer to nothing")?;
        let head = String::from_utf8_lossy(&self.read[..end]);
        let complaint = expected[sent.which].complaint(&head, length);
        drop(head);
        self.read.clear();
        self.whole = None;
        Ok(Some(Answer { due: sent.due, complaint }))
    }
}
