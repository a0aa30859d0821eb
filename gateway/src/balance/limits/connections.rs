//! Connections of a cluster whose number is limited: who may open one, and who waits for that.
//!
//! A connection is in use, or at rest in the pool of one worker. Whoever needs one while all are open waits in line. A
//! connection at rest that belongs to another worker, or leads to another endpoint, is no use to the one in front; it is
//! closed from here, and the one in front opens another in its place.

use super::Limits;
use parking_lot::{Mutex, MutexGuard};
use std::{
    collections::VecDeque,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

#[derive(Debug, Default)]
pub(super) struct Connections(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    open: u32,
    next: u64,
    /// Those of `open` that nobody uses, the oldest first.
    resting: VecDeque<Resting>,
    /// Closed for the sake of another, and not yet dropped by their owners; not of `open` any more.
    taken: Vec<u64>,
    line: VecDeque<InLine>,
}

struct Resting {
    id: u64,
    close: Arc<dyn Fn() + Send + Sync>,
}

#[derive(Debug)]
struct InLine {
    id: u64,
    most: u32,
    waker: Waker,
}

/// One open connection. Dropping it says that the connection is closed.
pub struct ConnectionPermit {
    limits: Arc<Limits>,
    id: u64,
}

/// A place in the line for a connection. Dropping it leaves the line.
#[derive(Debug)]
pub struct Waiting {
    limits: Arc<Limits>,
    id: u64,
    most: u32,
}

/// Ready when the place is the first in line, and a connection is to be had.
#[derive(Debug)]
pub struct Turn<'w>(&'w Waiting);

impl Limits {
    /// A place in the line for a connection of which there may be `most`. With nobody before it, its turn is at once.
    pub fn wait(self: &Arc<Self>, most: u32) -> Waiting {
        let mut state = self.connections.lock();
        let id = state.next_id();
        state.line.push_back(InLine { id, most, waker: Waker::noop().clone() });
        Waiting { limits: Arc::clone(self), id, most }
    }

    /// Whether somebody waits for a connection: then one at rest is not for newcomers.
    pub fn has_line(&self) -> bool {
        !self.connections.lock().line.is_empty()
    }
}

impl Connections {
    pub(super) fn open(&self) -> u32 {
        self.lock().open
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics half way.
        self.0.lock()
    }
}

impl State {
    fn next_id(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Whether the first in line could go on.
    fn has_room(&self, most: u32) -> bool {
        self.open < most || !self.resting.is_empty()
    }

    fn wake_first(&self) {
        if let Some(first) = self.line.front()
            && self.has_room(first.most)
        {
            first.waker.wake_by_ref();
        }
    }
}

impl Waiting {
    /// Waits until it is this one's turn. Then a connection at rest of its own may be used, or [`open`](Self::open) asked.
    pub fn turn(&self) -> Turn<'_> {
        Turn(self)
    }

    /// Leave to open a connection, if need be in the place of one at rest, which is closed. `None` when it is not this
    /// one's turn (any more).
    pub fn open(&self) -> Option<ConnectionPermit> {
        let mut state = self.limits.connections.lock();
        if state.line.front().is_none_or(|first| first.id != self.id) || !state.has_room(self.most) {
            return None;
        }
        if state.open >= self.most {
            // Under the lock, so that its owner cannot give its file descriptor back in this moment.
            let oldest = state.resting.pop_front()?;
            (oldest.close)();
            state.taken.push(oldest.id);
        } else {
            state.open += 1;
        }
        let id = state.next_id();
        drop(state);
        Some(ConnectionPermit { limits: Arc::clone(&self.limits), id })
    }
}

impl Future for Turn<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.0.limits.connections.lock();
        let room = state.has_room(self.0.most);
        let is_first = state.line.front().is_some_and(|first| first.id == self.0.id);
        if room && is_first {
            return Poll::Ready(());
        }
        if let Some(place) = state.line.iter_mut().find(|place| place.id == self.0.id) {
            place.waker.clone_from(cx.waker());
        }
        Poll::Pending
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut state = self.limits.connections.lock();
        state.line.retain(|place| place.id != self.id);
        state.wake_first();
    }
}

impl ConnectionPermit {
    /// The connection is not in use any more, but stays open; `close` closes it from any thread, without waiting.
    pub fn rest(&self, close: Arc<dyn Fn() + Send + Sync>) {
        let mut state = self.limits.connections.lock();
        state.resting.push_back(Resting { id: self.id, close });
        state.wake_first();
    }

    /// The connection is to be used again. `false` when it has been closed in the meantime, for the sake of another.
    pub fn resume(&self) -> bool {
        let mut state = self.limits.connections.lock();
        let before = state.resting.len();
        state.resting.retain(|resting| resting.id != self.id);
        state.resting.len() < before
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let mut state = self.limits.connections.lock();
        state.resting.retain(|resting| resting.id != self.id);
        if let Some(place) = state.taken.iter().position(|id| *id == self.id) {
            // Another connection has been opened in its place.
            state.taken.swap_remove(place);
        } else {
            state.open = state.open.saturating_sub(1);
            state.wake_first();
        }
    }
}

impl fmt::Debug for Resting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resting").field("id", &self.id).finish_non_exhaustive()
    }
}

impl fmt::Debug for ConnectionPermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionPermit").field("id", &self.id).finish_non_exhaustive()
    }
}
