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

/// The last piece of a body may be so long and still be left to h2, which keeps what the client has no window for. Behind a
/// longer one the end is held back until the client has made room, so that the stream can be ended when it never does.
const LEFT_TO_H2: usize = 16 * 1024;

/// hyper asks for the next piece when the client's window has room again.
#[derive(Debug)]
pub(super) struct Answer {
    body: ResponseBody,
    activity: Rc<Activity>,
    /// The length of the last piece.
    piece: usize,
}

impl Answer {
    /// `body`, which begins now.
    pub(super) fn new(body: ResponseBody, activity: Rc<Activity>) -> Self {
        activity.begin_answer();
        Self { body, activity, piece: 0 }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.activity.set_stalled(false);
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        self.activity.set_stalled(true);
        let data = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref());
        self.piece = data.map_or(0, Bytes::len);
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.piece <= LEFT_TO_H2 && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
