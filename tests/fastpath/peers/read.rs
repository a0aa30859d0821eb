//! The ways to read.

use super::{PATIENCE, idle, now_and_then, options};
use fastrand::Rng;
use rustix::{
    event::{PollFd, PollFlags, Timespec, epoll, poll},
    io::ioctl_fionread,
    net::{RecvFlags, recv},
    pipe::{SpliceFlags, pipe, splice},
};
use std::{
    io,
    net::TcpStream,
    os::fd::OwnedFd,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

/// Blocking reads that came back with nothing, long before they should have.
static EARLY: AtomicU64 = AtomicU64::new(0);

/// How often a blocking read has come back early.
pub(crate) fn early_returns() -> u64 {
    EARLY.load(Ordering::Relaxed)
}

/// How a peer reads its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    Blocking,
    /// After a level-triggered event, one read.
    Level,
    /// After an edge, reads to EAGAIN.
    Edge,
    /// After an edge, reads until one is short: nginx, and every program on mio.
    EdgeShort,
    /// MSG_WAITALL, where the number of bytes to come is known.
    WaitAll,
    /// Every byte is looked at with MSG_PEEK before it is read.
    Peek,
    /// SO_RCVLOWAT, where the number of bytes to come is known.
    LowWater,
    /// Into a pipe, with splice(2).
    Splice,
    /// As much as FIONREAD says; nothing is the end.
    Fionread,
}

pub(crate) const READS: [Read; 7] =
    [Read::Blocking, Read::Level, Read::Edge, Read::EdgeShort, Read::WaitAll, Read::Peek, Read::LowWater];

impl Read {
    /// Whether such a program leaves its sockets blocking.
    pub(super) fn blocks(self) -> bool {
        matches!(self, Self::Blocking | Self::WaitAll | Self::Peek)
    }

    /// A name that fits in a path and in a Kubernetes name.
    pub(crate) fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }
}

/// A connection as its reader sees it.
pub(crate) struct Reader {
    stream: TcpStream,
    how: Read,
    events: OwnedFd,
    /// An edge has come, and nothing has said that the socket is empty since.
    ready: bool,
    /// The peer has said that it is through; there will be no further edge.
    ended: bool,
    low_water: usize,
    /// Waits a little before many of its reads.
    slow: Option<Rng>,
    /// For those that splice.
    pipe: (OwnedFd, OwnedFd),
    buffer: Vec<u8>,
    /// What of `buffer` has come and is not consumed.
    filled: std::ops::Range<usize>,
}

impl Reader {
    /// Reads at most `piece` bytes at once.
    pub(crate) fn new(stream: TcpStream, how: Read, piece: usize) -> io::Result<Self> {
        let events = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let edge = if matches!(how, Read::Edge | Read::EdgeShort) {
            epoll::EventFlags::ET
        } else {
            epoll::EventFlags::empty()
        };
        epoll::add(
            &events,
            &stream,
            epoll::EventData::new_u64(0),
            epoll::EventFlags::IN | epoll::EventFlags::RDHUP | edge,
        )?;
        Ok(Self {
            stream,
            how,
            events,
            ready: false,
            ended: false,
            low_water: 1,
            slow: None,
            pipe: pipe()?,
            buffer: vec![0; piece],
            filled: 0..0,
        })
    }

    /// From now on it reads late, so that bytes gather in front of it.
    pub(crate) fn slow_down(&mut self, random: Rng) {
        self.slow = Some(random);
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// What has come and is not consumed; at least one byte, unless the stream has ended. `want` bytes are still to come,
    /// if that is known.
    pub(crate) fn fill(&mut self, want: Option<usize>) -> io::Result<&[u8]> {
        if self.filled.is_empty() {
            if let Some(random) = &mut self.slow {
                now_and_then(random);
            }
            let read = self.read(want)?;
            self.filled = 0..read;
        }
        Ok(&self.buffer[self.filled.clone()])
    }

    /// Forgets the first `count` bytes of what `fill` gave.
    pub(crate) fn consume(&mut self, count: usize) {
        self.filled.start += count;
    }

    /// Waits for the first byte of the next message for as long as it takes. False at the end of the stream.
    pub(crate) fn is_there_more(&mut self) -> io::Result<bool> {
        if !self.filled.is_empty() {
            return Ok(true);
        }
        self.set_low_water(1)?;
        // Waiting here takes no edge away.
        let mut fds = [PollFd::new(&self.stream, PollFlags::IN | PollFlags::RDHUP)];
        while poll(&mut fds, None)? == 0 || fds[0].revents() == PollFlags::ERR {
            // The notice of a zero-copy send stays, and is nothing to read.
            idle(Duration::from_millis(5));
        }
        match self.fill(None) {
            Ok(bytes) => Ok(!bytes.is_empty()),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn read(&mut self, want: Option<usize>) -> io::Result<usize> {
        let wanted = want.unwrap_or(1).min(self.buffer.len());
        match self.how {
            Read::Blocking => self.block(self.buffer.len(), RecvFlags::empty()),
            Read::WaitAll => match want {
                None => self.block(self.buffer.len(), RecvFlags::empty()),
                Some(_) => self.block(wanted, RecvFlags::WAITALL),
            },
            Read::Peek => {
                let seen = self.block(self.buffer.len(), RecvFlags::PEEK)?;
                let looked_at = self.buffer[..seen].to_vec();
                let read = self.block(seen, RecvFlags::empty())?;
                if looked_at[..read] != self.buffer[..read] {
                    return Err(io::Error::other("MSG_PEEK showed other bytes than the read after it"));
                }
                Ok(read)
            }
            Read::LowWater => {
                // The buffers of both ends must hold that much, or everybody waits forever.
                self.set_low_water(wanted.min(16 << 10))?;
                self.read_after_event()
            }
            Read::Level => self.read_after_event(),
            Read::Splice => self.splice(),
            Read::Fionread => loop {
                self.wait()?;
                let there = self.readable()?;
                if there > 0 {
                    return self.receive(there.min(self.buffer.len()), RecvFlags::empty());
                }
                // Also woken by the notice that a zero-copy send is done, which is nothing to read and no end.
                match self.receive(1, RecvFlags::PEEK) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::yield_now(),
                    // They have come since it was asked.
                    Ok(1..) if self.readable()? > 0 => {}
                    _ => return Ok(0),
                }
            },
            Read::Edge | Read::EdgeShort => loop {
                if !self.ready && !self.ended {
                    self.wait()?;
                    self.ready = true;
                }
                match self.receive(self.buffer.len(), RecvFlags::empty()) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.ready = false,
                    Ok(read) => {
                        self.ready = self.how == Read::Edge || read == self.buffer.len();
                        return Ok(read);
                    }
                    other => return other,
                }
            },
        }
    }

    /// What FIONREAD says.
    fn readable(&self) -> io::Result<usize> {
        usize::try_from(ioctl_fionread(&self.stream)?).map_err(io::Error::other)
    }

    /// A blocking read. In a socket map it comes back with EAGAIN whenever the socket wakes for another reason than bytes
    /// to read: room to write, a notice of a zero-copy send (`tcp_bpf_recvmsg` of the kernel waits once).
    fn block(&mut self, limit: usize, flags: RecvFlags) -> io::Result<usize> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.receive(limit, flags) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && Instant::now() < deadline => {
                    EARLY.fetch_add(1, Ordering::Relaxed);
                }
                other => return other,
            }
        }
    }

    /// An event may also mean that a zero-copy send is through.
    fn read_after_event(&mut self) -> io::Result<usize> {
        loop {
            self.wait()?;
            match self.receive(self.buffer.len(), RecvFlags::empty()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                other => return other,
            }
        }
    }

    fn splice(&mut self) -> io::Result<usize> {
        loop {
            self.wait()?;
            let limit = self.buffer.len().min(32 << 10);
            match splice(&self.stream, None, &self.pipe.1, None, limit, SpliceFlags::NONBLOCK) {
                Err(rustix::io::Errno::AGAIN) => {}
                Err(error) => return Err(error.into()),
                Ok(0) => return Ok(0),
                Ok(moved) => return Ok(rustix::io::read(&self.pipe.0, &mut self.buffer[..moved])?),
            }
        }
    }

    fn set_low_water(&mut self, mark: usize) -> io::Result<()> {
        if self.low_water != mark {
            options::set_low_water(&self.stream, mark)?;
            self.low_water = mark;
        }
        Ok(())
    }

    fn receive(&mut self, limit: usize, flags: RecvFlags) -> io::Result<usize> {
        loop {
            match recv(&self.stream, &mut self.buffer[..limit], flags) {
                Ok((read, _)) => return Ok(read),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// # Errors
    /// `TimedOut` when no event comes: bytes are lost, or lie where this reader was not told of them.
    fn wait(&mut self) -> io::Result<()> {
        let limit = Timespec { tv_sec: i64::try_from(PATIENCE.as_secs()).map_err(io::Error::other)?, tv_nsec: 0 };
        let mut events = [epoll::Event { flags: epoll::EventFlags::empty(), data: epoll::EventData::new_u64(0) }];
        loop {
            match epoll::wait(&self.events, &mut events, Some(&limit)) {
                Ok(0) => return Err(io::Error::new(io::ErrorKind::TimedOut, "no event came")),
                Ok(_) => break,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let flags = events[0].flags;
        // Not ERR: it is there as well when notices of zero-copy sends wait.
        self.ended |= flags.intersects(epoll::EventFlags::RDHUP | epoll::EventFlags::HUP);
        Ok(())
    }
}
