//! The body of an answer that comes by HTTP/2.

use bytes::Bytes;
use h2::RecvStream;
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

    pub(super) fn into_stream(self) -> RecvStream {
        self.stream
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = h2::Error;

    /// A stream that is reset ends with an error, also with NO_ERROR: an answer that was complete before has ended by then
    /// (RFC 9113 §8.1), and any other must not look so.
    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        if !self.is_past_data {
            match ready!(self.stream.poll_data(cx)) {
                Some(Ok(data)) => {
                    // It fails for a stream that has ended, which has no window any more.
                    let _released = self.stream.flow_control().release_capacity(data.len()).is_ok();
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => self.is_past_data = true,
            }
        }
        match ready!(self.stream.poll_trailers(cx)) {
            Ok(trailers) => Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers)))),
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
