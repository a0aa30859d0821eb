//! Bytes both ways between two connections, until both directions have ended: what Envoy's TCP proxy does with them.
//!
//! The end of one direction is passed on, and the other goes on. A connection at rest keeps no buffer: all connections of a
//! worker read into one, and only what the other side does not take at once is kept, up to the size of a read.

use super::lane::{Lane, Place, SMALL};
use std::{
    cell::RefCell,
    future::poll_fn,
    io,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

/// What is read at once, and so the most that waits in one direction.
const READ_BYTES: usize = 64 * 1024;

/// How long a pair of connections may live.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lifetime {
    /// Without a byte in either direction; `None` for ever.
    pub(super) idle: Option<Duration>,
    pub(super) until: Option<Instant>,
}

/// How it ended.
#[derive(Debug)]
pub(super) enum End {
    /// Both directions have come to their ends.
    Finished,
    /// One side has gone before; `is_reset` when by a reset, which the other side is to get as well.
    Broken {
        is_reset: bool,
    },
    Idle,
    TooOld,
}

/// What is told of every piece.
pub(super) trait Meter {
    fn to_endpoint(&mut self, bytes: usize);
    fn to_client(&mut self, bytes: usize);
}

/// One direction.
#[derive(Debug, Default)]
struct Direction {
    /// What the writer did not take yet.
    waiting: Vec<u8>,
    written: usize,
    is_unflushed: bool,
    is_read: bool,
    is_over: bool,
}

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Carries bytes until the end of both connections, which are still to be closed.
pub(super) async fn relay(
    client: &mut (impl AsyncRead + AsyncWrite + Unpin),
    endpoint: &mut (impl AsyncRead + AsyncWrite + Unpin),
    lane: &Lane,
    lifetime: Lifetime,
    meter: &mut impl Meter,
) -> End {
    // Whoever has written before may have left something in a buffer.
    let begun = || Direction { is_unflushed: true, ..Direction::default() };
    let (mut up, mut down) = (begun(), begun());
    let mut moved_at = Instant::now();
    let mut timer = pin!(sleep_until(first_deadline(lifetime, moved_at)));
    let mut place = Place::default();
    let mut moved = 0;
    poll_fn(|cx| {
        if moved >= SMALL {
            ready!(lane.poll_turn(&mut place, cx));
        }
        let is_long = moved >= SMALL;
        let allowed = if is_long { READ_BYTES } else { SMALL };
        moved = 0;
        let relayed = BUFFER.with_borrow_mut(|buffer| {
            buffer.resize(READ_BYTES, 0);
            let mut count = |bytes| moved += bytes;
            let upward = up.poll(client, endpoint, &mut buffer[..allowed], cx, &mut |bytes| {
                count(bytes);
                meter.to_endpoint(bytes);
            });
            let downward = down.poll(endpoint, client, &mut buffer[..allowed], cx, &mut |bytes| {
                count(bytes);
                meter.to_client(bytes);
            });
            if let Poll::Ready(Err(error)) = [upward, downward].into_iter().find(is_broken).unwrap_or(Poll::Pending) {
                return Poll::Ready(End::Broken { is_reset: error.kind() == io::ErrorKind::ConnectionReset });
            }
            if up.is_over && down.is_over {
                return Poll::Ready(End::Finished);
            }
            let now = Instant::now();
            if moved > 0 {
                moved_at = now;
            }
            poll_deadline(timer.as_mut(), lifetime, moved_at, now, cx)
        });
        if is_long {
            lane.charge(moved);
        }
        relayed
    })
    .await
}

fn is_broken(poll: &Poll<io::Result<()>>) -> bool {
    matches!(poll, Poll::Ready(Err(_)))
}

fn first_deadline(lifetime: Lifetime, moved_at: Instant) -> Instant {
    let idle = lifetime.idle.and_then(|idle| moved_at.checked_add(idle));
    // Nobody waits for longer than a month without looking again.
    let far = moved_at + Duration::from_secs(30 * 86_400);
    idle.into_iter().chain(lifetime.until).min().unwrap_or(far)
}

/// The timer is set anew only when it has gone off: bytes in between cost nothing.
fn poll_deadline(
    mut timer: Pin<&mut Sleep>,
    lifetime: Lifetime,
    moved_at: Instant,
    now: Instant,
    cx: &mut Context<'_>,
) -> Poll<End> {
    loop {
        ready!(timer.as_mut().poll(cx));
        if lifetime.until.is_some_and(|until| until <= now) {
            return Poll::Ready(End::TooOld);
        }
        if lifetime.idle.is_some_and(|idle| now.duration_since(moved_at) >= idle) {
            return Poll::Ready(End::Idle);
        }
        timer.as_mut().reset(first_deadline(lifetime, moved_at).max(now + Duration::from_millis(1)));
    }
}

impl Direction {
    /// Moves what can be moved now, up to the length of `buffer`. Ready when the direction has ended, or failed.
    fn poll(
        &mut self,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
        buffer: &mut [u8],
        cx: &mut Context<'_>,
        moved: &mut impl FnMut(usize),
    ) -> Poll<io::Result<()>> {
        if self.is_over {
            return Poll::Ready(Ok(()));
        }
        let mut allowed = buffer.len();
        while allowed > 0 {
            while self.written < self.waiting.len() {
                let written = ready!(Pin::new(&mut *to).poll_write(cx, &self.waiting[self.written..]))?;
                self.wrote(written, moved)?;
            }
            // Given back: a connection at rest takes no room.
            self.waiting = Vec::new();
            self.written = 0;
            if self.is_read {
                ready!(Pin::new(&mut *to).poll_shutdown(cx))?;
                self.is_over = true;
                return Poll::Ready(Ok(()));
            }
            let mut read = ReadBuf::new(&mut buffer[..allowed]);
            match Pin::new(&mut *from).poll_read(cx, &mut read) {
                Poll::Ready(result) => result?,
                Poll::Pending => {
                    if self.is_unflushed {
                        ready!(Pin::new(&mut *to).poll_flush(cx))?;
                        self.is_unflushed = false;
                    }
                    return Poll::Pending;
                }
            }
            let bytes = read.filled();
            allowed -= bytes.len();
            self.is_read = bytes.is_empty();
            if !self.is_read {
                let taken = match Pin::new(&mut *to).poll_write(cx, bytes) {
                    Poll::Ready(taken) => taken?,
                    Poll::Pending => 0,
                };
                self.waiting = bytes[taken..].to_vec();
                if taken > 0 {
                    self.is_unflushed = true;
                    moved(taken);
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn wrote(&mut self, bytes: usize, moved: &mut impl FnMut(usize)) -> io::Result<()> {
        if bytes == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.written += bytes;
        self.is_unflushed = true;
        moved(bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _, BufWriter, duplex},
        time::timeout,
    };

    struct Nobody;

    impl Meter for Nobody {
        fn to_endpoint(&mut self, _bytes: usize) {}
        fn to_client(&mut self, _bytes: usize) {}
    }

    #[tokio::test]
    async fn what_was_written_before_is_flushed() {
        let (client, mut at_client) = duplex(64);
        let (mut endpoint, _silent) = duplex(64);
        let mut client = BufWriter::new(client);
        client.write_all(b"greeting").await.unwrap();
        let (lane, lifetime) = (Lane::default(), Lifetime { idle: None, until: None });
        let (mut greeting, mut nobody) = ([0; 8], Nobody);
        tokio::select! {
            end = relay(&mut client, &mut endpoint, &lane, lifetime, &mut nobody) => unreachable!("{end:?}"),
            read = timeout(Duration::from_secs(30), at_client.read_exact(&mut greeting)) => { read.unwrap().unwrap(); }
        }
        assert_eq!(&greeting, b"greeting");
    }
}
