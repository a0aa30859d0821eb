//! A client's connection between requests, when nothing of it is kept but the socket.
//!
//! hyper holds some kilobytes for every connection as long as that lives. A node's gateway has thousands that do nothing, so
//! HTTP is made when the first byte of a request has come, and unmade when none has come for a while.

use super::activity::{Activity, ClientSocket, Order};
use crate::memory;
use std::{future::poll_fn, task::Poll};

/// How many connections must have come to rest before their memory is worth the time it takes to give it to the kernel.
const WORTH_GIVING_BACK: usize = 32;

/// How many connections of a worker rest, as the sweep sees it.
#[derive(Debug, Default)]
pub(super) struct Resting {
    last: usize,
    /// Of so many the memory has been given back.
    given_back: usize,
}

impl Resting {
    /// The sweep has found so many. Gives the memory of those that are new back, once no more follow: nobody else does
    /// while the worker has nothing to do.
    pub(super) fn count(&mut self, resting: usize) {
        self.given_back = self.given_back.min(resting);
        if resting == self.last && resting - self.given_back >= WORTH_GIVING_BACK {
            memory::give_back();
            self.given_back = resting;
        }
        self.last = resting;
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
            counts.iter().for_each(|&count| resting.count(count));
            resting.given_back
        };
        assert_eq!(given_back(&[10, 20, 20, 20]), 0, "too few");
        assert_eq!(given_back(&[50, 90, 100]), 0, "more are coming");
        assert_eq!(given_back(&[100]), 100);
        assert_eq!(given_back(&[110, 110]), 100, "too few are new");
        assert_eq!(given_back(&[40]), 40);
        assert_eq!(given_back(&[72, 72]), 72);
    }
}
