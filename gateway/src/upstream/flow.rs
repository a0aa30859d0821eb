//! How fast a socket of ours may be written to, where the kernel moves its bytes.

use super::pause::Pause;
use crate::{
    fastpath::{SocketCookie, Sockets},
    pairing::window::{Advice, SHORTEST_PAUSE, Window, next_pause},
};
use std::{
    os::fd::AsRawFd,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::{Sleep, sleep};

/// The writing side of one socket.
#[derive(Debug)]
pub(super) struct Flow {
    sockets: Sockets,
    /// Asked for when the first look is due: most connections never come to that.
    cookie: Option<SocketCookie>,
    window: Window,
    waiting: Option<Waiting>,
    /// Of the last wait. Who has waited once will wait again, and making a timer costs more than setting it.
    spare: Option<Pause>,
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
    fn begin(spare: Option<Pause>) -> Self {
        let pause = SHORTEST_PAUSE;
        let fine = spare.map_or_else(Pause::new, Ok).and_then(|mut fine| fine.begin(pause).map(|()| fine));
        Self { timer: fine.map_or_else(|_| Timer::Coarse(Box::pin(sleep(pause))), Timer::Fine), pause }
    }

    fn again(&mut self, read: usize, missing: usize) {
        self.pause = next_pause(self.pause, read, missing);
        let begun = match &mut self.timer {
            Timer::Fine(fine) => fine.begin(self.pause).is_ok(),
            Timer::Coarse(_) => false,
        };
        if !begun {
            self.timer = Timer::Coarse(Box::pin(sleep(self.pause)));
        }
    }

    fn into_spare(self) -> Option<Pause> {
        match self.timer {
            Timer::Fine(fine) => Some(fine),
            Timer::Coarse(_) => None,
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
        Self { sockets, cookie: None, window: Window::default(), waiting: None, spare: None }
    }

    /// How many of `wanted` bytes may be written to `socket` now. Pending while its reader has to catch up.
    pub(super) fn poll_room(&mut self, socket: &impl AsRawFd, wanted: usize, cx: &mut Context<'_>) -> Poll<usize> {
        loop {
            if let Some(waiting) = &mut self.waiting {
                ready!(waiting.poll_over(cx));
            } else if let Advice::Write(bytes) = self.window.advise(wanted) {
                return Poll::Ready(bytes);
            }
            let (before, queued) = (self.window.most(), self.look(socket));
            match (self.window.looked(queued), &mut self.waiting) {
                (0, waiting) => self.spare = waiting.take().and_then(Waiting::into_spare).or_else(|| self.spare.take()),
                (missing, Some(waiting)) => waiting.again(before.saturating_sub(self.window.most()), missing),
                (_, waiting) => *waiting = Some(Waiting::begin(self.spare.take())),
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
