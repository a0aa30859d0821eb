//! The answer on one stream, and whether its client takes it.

use crate::proxy::{
    activity::Activity,
    body::{BodyError, ResponseBody},
};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::{
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

/// hyper asks for the next piece when the client's window has room again. The end of a body comes by itself, behind its last
/// piece: with that one, h2 would keep what the client has no window for, and the stream could not be ended any more.
#[derive(Debug)]
pub(super) struct Answer {
    body: ResponseBody,
    activity: Rc<Activity>,
    /// A piece of the body has been handed over.
    has_begun: bool,
}

impl Answer {
    /// `body`, which begins now.
    pub(super) fn new(body: ResponseBody, activity: Rc<Activity>) -> Self {
        activity.begin_answer();
        Self { body, activity, has_begun: false }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.activity.set_stalled(false);
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        self.activity.set_stalled(true);
        self.has_begun = true;
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        !self.has_begun && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
