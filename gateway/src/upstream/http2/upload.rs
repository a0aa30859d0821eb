//! The body of a request on its way out by HTTP/2, as fast as the endpoint takes it.

use crate::upstream::connection::RequestBody;
use bytes::Bytes;
use h2::{Reason, SendStream};
use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

/// See the module.
#[derive(Debug)]
pub(super) struct Upload<B> {
    stream: SendStream<Bytes>,
    body: Pin<Box<B>>,
    /// Not sent yet, because the endpoint takes no more; never empty.
    held: Option<Bytes>,
}

/// Why a body does not come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// It failed by itself.
    Body,
    /// The stream has ended; its answer says why.
    Stream,
}

impl<B: RequestBody> Upload<B> {
    pub(super) fn new(stream: SendStream<Bytes>, body: B) -> Self {
        Self { stream, body: Box::pin(body), held: None }
    }

    /// Sends what there is. Ready when all of it has been sent, or no more can be.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        loop {
            if self.stream.poll_reset(cx).is_ready() {
                return Poll::Ready(Err(Broken::Stream));
            }
            if self.held.is_some() {
                ready!(self.poll_held(cx))?;
                continue;
            }
            let Some(frame) = ready!(self.body.as_mut().poll_frame(cx)) else {
                return Poll::Ready(self.send(Bytes::new(), true));
            };
            let Ok(frame) = frame else {
                self.stream.send_reset(Reason::CANCEL);
                return Poll::Ready(Err(Broken::Body));
            };
            match frame.into_data() {
                Ok(data) if data.is_empty() => {}
                Ok(data) => {
                    self.stream.reserve_capacity(data.len());
                    self.held = Some(data);
                }
                Err(frame) => {
                    if let Ok(trailers) = frame.into_trailers() {
                        return Poll::Ready(self.stream.send_trailers(trailers).or(Err(Broken::Stream)));
                    }
                }
            }
        }
    }

    /// Sends as much of what is held as the endpoint takes now.
    fn poll_held(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        while self.stream.capacity() == 0 {
            if !matches!(ready!(self.stream.poll_capacity(cx)), Some(Ok(_))) {
                return Poll::Ready(Err(Broken::Stream));
            }
        }
        let Some(mut data) = self.held.take() else { return Poll::Ready(Ok(())) };
        let now = data.split_to(data.len().min(self.stream.capacity()));
        if !data.is_empty() {
            self.held = Some(data);
        }
        Poll::Ready(self.send(now, false))
    }

    fn send(&mut self, data: Bytes, is_last: bool) -> Result<(), Broken> {
        self.stream.send_data(data, is_last).or(Err(Broken::Stream))
    }
}
