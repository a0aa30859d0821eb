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

/// The last piece of a body may be so long and still be left to h2 as a whole, which keeps what the client has no window for
/// until the connection ends. The last byte of a longer one waits here until the client has made room for it, so that the
/// stream can be ended when it never does.
const LEFT_TO_H2: usize = 1024;

/// hyper keeps a piece back until the client's window has any room.
#[derive(Debug)]
pub(super) struct Answer {
    body: ResponseBody,
    activity: Rc<Activity>,
    /// The last byte, while the rest of its piece is on its way.
    last: Option<Bytes>,
}

impl Answer {
    /// `body`, which begins now.
    pub(super) fn new(body: ResponseBody, activity: Rc<Activity>) -> Self {
        activity.begin_answer();
        Self { body, activity, last: None }
    }

    /// Keeps the last byte of a body's last piece back if the piece is long.
    fn keep_last(&mut self, frame: Frame<Bytes>) -> Frame<Bytes> {
        let is_long = frame.data_ref().is_some_and(|data| data.len() > LEFT_TO_H2);
        if !is_long || !self.body.is_end_stream() {
            return frame;
        }
        frame.map_data(|mut data| {
            self.last = Some(data.split_off(data.len() - 1));
            data
        })
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.activity.set_stalled(false);
        let frame = match self.last.take() {
            Some(last) => Some(Ok(Frame::data(last))),
            None => {
                ready!(Pin::new(&mut self.body).poll_frame(cx)).map(|frame| frame.map(|frame| self.keep_last(frame)))
            }
        };
        self.activity.set_stalled(true);
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.last.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
