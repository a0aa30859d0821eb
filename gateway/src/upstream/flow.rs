//! How fast a socket of ours may be written to, where the kernel moves its bytes.

use super::pause::Pause;
use crate::{
    fastpath::{SocketCookie, Sockets},
    pairing::window::{Advice, Window},
};
use std::{
    os::fd::AsRawFd,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::{Sleep, sleep};

/// Until a reader that has not caught up is looked at again; doubled up to [`LONGEST_PAUSE`] while it stands still. Nothing
/// tells a writer that a queue past TCP has room again. A reader that is at work copies the whole window in about this time.
const FIRST_PAUSE: Duration = Duration::from_micros(60);
const LONGEST_PAUSE: Duration = Duration::from_millis(64);

/// The writing side of one socket.
#[derive(Debug)]
pub(super) struct Flow {
    sockets: Sockets,
    /// Asked for when the first look is due: most connections never come to that.
    cookie: Option<SocketCookie>,
    window: Window,
    waiting: Option<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    timer: Timer,
    pause: Duration,
}

#[derive(Debug)]
enum Timer {
    Fine(Pause),
    /// Where no more file descriptors are to be had.
    Coarse(Pin<Box<Sleep>>),
}

impl Waiting {
    fn begin() -> Self {
        let pause = FIRST_PAUSE;
        let fine = Pause::new().and_then(|mut fine| fine.begin(pause).map(|()| fine));
        Self { timer: fine.map_or_else(|_| Timer::Coarse(Box::pin(sleep(pause))), Timer::Fine), pause }
    }

    fn again(&mut self) {
        self.pause = LONGEST_PAUSE.min(self.pause * 2);
        let begun = match &mut self.timer {
            Timer::Fine(fine) => fine.begin(self.pause).is_ok(),
            Timer::Coarse(_) => false,
        };
        if !begun {
            self.timer = Timer::Coarse(Box::pin(sleep(self.pause)));
        }
    }

    fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.timer {
            // A timer that fails is over, and the next look decides.
            Timer::Fine(fine) => fine.poll_over(cx).map(drop),
            Timer::Coarse(sleep) => sleep.as_mut().poll(cx),
        }
    }
}

impl Flow {
    pub(super) fn new(sockets: Sockets) -> Self {
        Self { sockets, cookie: None, window: Window::default(), waiting: None }
    }

    /// How many of `wanted` bytes may be written to `socket` now. Pending while its reader has to catch up.
    pub(super) fn poll_room(&mut self, socket: &impl AsRawFd, wanted: usize, cx: &mut Context<'_>) -> Poll<usize> {
        loop {
            if let Some(waiting) = &mut self.waiting {
                ready!(waiting.poll_over(cx));
            } else if let Advice::Write(bytes) = self.window.advise(wanted) {
                return Poll::Ready(bytes);
            }
            let queued = self.look(socket);
            if self.window.looked(queued) {
                self.waiting = None;
            } else {
                match &mut self.waiting {
                    Some(waiting) => waiting.again(),
                    None => self.waiting = Some(Waiting::begin()),
                }
            }
        }
    }

    /// So many bytes have been written.
    pub(super) fn wrote(&mut self, bytes: usize) {
        self.window.wrote(bytes);
    }

    fn look(&mut self, socket: &impl AsRawFd) -> Option<usize> {
        if self.cookie.is_none() {
            self.cookie = SocketCookie::of(socket).ok();
        }
        let queued = self.sockets.queued(self.cookie?)?;
        usize::try_from(queued).ok()
    }
}
