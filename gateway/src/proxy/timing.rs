//! The time limits of one request while they run.

use super::{deadline::Deadline, upload::Upload};
use crate::message::time_limits::TimeLimits;
use std::{
    future::{Future, poll_fn},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Instant,
};

/// Which limit has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passed {
    Total,
    Try,
}

/// Both limits begin when the request is complete; that of a try not before its connection stands.
#[derive(Debug)]
pub(super) struct Timing {
    total: Option<Deadline>,
    per_try: Option<Deadline>,
    limits: TimeLimits,
    request: RequestEnd,
}

/// When the request is complete.
#[derive(Debug)]
pub(super) enum RequestEnd {
    At(Instant),
    /// With the last of its body.
    Body(Rc<Upload>),
    /// A connection that switches protocols has no end that counts.
    Never,
}

impl RequestEnd {
    fn get(&self) -> Option<Instant> {
        match self {
            Self::At(end) => Some(*end),
            Self::Body(upload) => upload.ended(),
            Self::Never => None,
        }
    }
}

impl Timing {
    pub(super) fn new(limits: TimeLimits, request: RequestEnd) -> Box<Self> {
        Box::new(Self { total: limits.total.map(Deadline::new), per_try: None, limits, request })
    }

    /// When the request was complete; `None` while it is not.
    pub(super) fn request_end(&self) -> Option<Instant> {
        self.request.get()
    }

    /// The connection of a new try stands.
    pub(super) fn begin_try(&mut self) {
        self.per_try = self.limits.per_try.map(Deadline::new);
    }

    /// The try has its response head, or is over.
    pub(super) fn end_try(&mut self) {
        self.per_try = None;
    }

    /// Ready once the time for the whole has passed.
    pub(super) fn poll_total(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.total {
            Some(total) => total.poll_passed(self.request.get(), cx),
            None => Poll::Pending,
        }
    }

    fn poll_try(&mut self, began: Instant, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.per_try {
            Some(per_try) => per_try.poll_passed(self.request.get().map(|end| end.max(began)), cx),
            None => Poll::Pending,
        }
    }
}

/// What `future` comes to, unless one of the limits of `timing` passes before. While it waits, `upload` is read ahead.
pub(super) async fn within<F: Future>(
    timing: &mut Option<Box<Timing>>,
    upload: Option<&Upload>,
    mut future: Pin<&mut F>,
) -> Result<F::Output, Passed> {
    if timing.is_none() && upload.is_none() {
        return Ok(future.await);
    }
    let began = Instant::now();
    poll_fn(|cx| {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Ok(output));
        }
        if let Some(upload) = upload {
            upload.read_ahead(cx);
        }
        let Some(timing) = timing else { return Poll::Pending };
        if timing.poll_total(cx).is_ready() {
            return Poll::Ready(Err(Passed::Total));
        }
        timing.poll_try(began, cx).map(|()| Err(Passed::Try))
    })
    .await
}
