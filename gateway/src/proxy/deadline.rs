//! A moment after which somebody stops waiting. Whoever has no limit pays nothing: a timer is made only for one that has
//! begun.

use std::{
    future::Future as _,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};
use tokio::time::{Sleep, sleep_until};

/// A limit that begins to run at some time.
#[derive(Debug)]
pub(super) struct Deadline {
    limit: Duration,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Deadline {
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit, timer: None }
    }

    /// Ready once the limit has passed since `began`; never while that is `None`.
    pub(super) fn poll_passed(&mut self, began: Option<Instant>, cx: &mut Context<'_>) -> Poll<()> {
        let timer = match (&mut self.timer, began) {
            (Some(timer), _) => timer,
            // What is later than the clock can say never comes.
            (none, Some(began)) => match began.checked_add(self.limit) {
                Some(end) => none.insert(Box::pin(sleep_until(end.into()))),
                None => return Poll::Pending,
            },
            (None, None) => return Poll::Pending,
        };
        timer.as_mut().poll(cx)
    }
}
