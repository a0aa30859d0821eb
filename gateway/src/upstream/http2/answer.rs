//! The body of an answer that comes by HTTP/2.

use bytes::Bytes;
use h2::{Reason, RecvStream};
use http_body::{Body, Frame, SizeHint};
use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

/// See the module. An endpoint may send more once what it has sent is taken from here.
#[derive(Debug)]
pub(crate) struct AnswerBody {
    stream: RecvStream,
    /// Only trailers may come now.
    is_past_data: bool,
}

impl AnswerBody {
    pub(super) fn new(stream: RecvStream) -> Self {
        Self { stream, is_past_data: false }
    }
}

/// A complete answer to a request that is still on its way ends with this (RFC 9113 §8.1).
fn is_the_end(error: &h2::Error) -> bool {
    error.is_remote() && error.is_reset() && error.reason() == Some(Reason::NO_ERROR)
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        if !self.is_past_data {
            match ready!(self.stream.poll_data(cx)) {
                Some(Ok(data)) => {
                    // It fails for a stream that has ended, which has no window any more.
                    let _released = self.stream.flow_control().release_capacity(data.len()).is_ok();
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Some(Err(error)) if is_the_end(&error) => return Poll::Ready(None),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => self.is_past_data = true,
            }
        }
        match ready!(self.stream.poll_trailers(cx)) {
            Ok(trailers) => Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers)))),
            Err(error) if is_the_end(&error) => Poll::Ready(None),
            Err(error) => Poll::Ready(Some(Err(error))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.stream.is_end_stream()
    }

    /// The head says it, or nobody knows.
    fn size_hint(&self) -> SizeHint {
        if self.stream.is_end_stream() { SizeHint::with_exact(0) } else { SizeHint::default() }
    }
}
