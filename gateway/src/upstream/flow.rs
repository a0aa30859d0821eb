//! How fast a socket of ours may be written to, where the kernel moves its bytes.

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
/// tells a writer that a queue past TCP has room again.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
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
    sleep: Pin<Box<Sleep>>,
    pause: Duration,
}

impl Flow {
    pub(super) fn new(sockets: Sockets) -> Self {
        Self { sockets, cookie: None, window: Window::default(), waiting: None }
    }

    /// How many of `wanted` bytes may be written to `socket` now. Pending while its reader has to catch up.
    pub(super) fn poll_room(&mut self, socket: &impl AsRawFd, wanted: usize, cx: &mut Context<'_>) -> Poll<usize> {
        loop {
            if let Some(waiting) = &mut self.waiting {
                ready!(waiting.sleep.as_mut().poll(cx));
            } else if let Advice::Write(bytes) = self.window.advise(wanted) {
                return Poll::Ready(bytes);
            }
            let queued = self.look(socket);
            if self.window.looked(queued) {
                self.waiting = None;
            } else {
                let pause = self.waiting.as_ref().map_or(FIRST_PAUSE, |waiting| LONGEST_PAUSE.min(waiting.pause * 2));
                self.waiting = Some(Waiting { sleep: Box::pin(sleep(pause)), pause });
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
