//! A client's connection between requests, when nothing of it is kept but the socket.
//!
//! hyper holds some kilobytes for every connection as long as that lives. A node's gateway has thousands that do nothing, so
//! HTTP is made when the first byte of a request has come, and unmade when none has come for a while.

use super::activity::{Activity, ClientSocket, Order};
use crate::memory;
use std::{future::poll_fn, task::Poll};

/// How many connections must have come to rest before their memory is worth the time it takes to give it to the kernel.
const WORTH_GIVING_BACK: usize = 32;

/// The same of connections that have ended. More, since others may come and take their place.
const ENDS_WORTH_GIVING_BACK: u64 = 256;

/// Connections of a worker that have left memory behind, as the sweep sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Left {
    /// How many rest.
    pub(super) resting: usize,
    /// How many have ended since the worker began.
    pub(super) ended: u64,
}

/// What connections have left behind, and has been given back.
#[derive(Debug, Default)]
pub(super) struct Resting {
    last: Left,
    given_back: Left,
}

impl Resting {
    /// The sweep has found this. Gives the memory of what is new back, once no more follows: nobody else does while the
    /// worker has nothing to do.
    pub(super) fn count(&mut self, now: Left) {
        self.given_back.resting = self.given_back.resting.min(now.resting);
        let resting = now.resting - self.given_back.resting;
        let ended = now.ended.saturating_sub(self.given_back.ended);
        if now == self.last && (resting >= WORTH_GIVING_BACK || ended >= ENDS_WORTH_GIVING_BACK) {
            memory::give_back();
            self.given_back = now;
        }
        self.last = now;
    }
}

/// Waits until there is something to read. Returns `false` when the sweep ends the connection instead.
pub(super) async fn until_readable(socket: &ClientSocket, activity: &Activity) -> bool {
    activity.set_resting(true);
    let is_readable = poll_fn(|cx| {
        activity.set_waker(cx.waker());
        match activity.order() {
            Order::Expire | Order::Close => Poll::Ready(false),
            Order::None | Order::Rest => socket.poll_readable(cx).map(|()| true),
        }
    });
    let is_readable = is_readable.await;
    activity.set_resting(false);
    is_readable
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_given_back_once_for_many() {
        let mut resting = Resting::default();
        let mut given_back = |counts: &[usize]| {
            counts.iter().for_each(|&count| resting.count(Left { resting: count, ended: 0 }));
            resting.given_back.resting
        };
        assert_eq!(given_back(&[10, 20, 20, 20]), 0, "too few");
        assert_eq!(given_back(&[50, 90, 100]), 0, "more are coming");
        assert_eq!(given_back(&[100]), 100);
        assert_eq!(given_back(&[110, 110]), 100, "too few are new");
        assert_eq!(given_back(&[40]), 40);
        assert_eq!(given_back(&[72, 72]), 72);
    }

    #[test]
    fn what_many_have_left_behind_is_given_back() {
        let mut resting = Resting::default();
        let mut given_back = |counts: &[u64]| {
            counts.iter().for_each(|&count| resting.count(Left { resting: 5, ended: count }));
            resting.given_back.ended
        };
        assert_eq!(given_back(&[200, 200, 200]), 0, "too few");
        assert_eq!(given_back(&[300, 400, 4000]), 0, "more are ending");
        assert_eq!(given_back(&[4000]), 4000);
        assert_eq!(given_back(&[4200, 4200]), 4000, "too few are new");
        assert_eq!(given_back(&[4256, 4256]), 4256);
    }
}
