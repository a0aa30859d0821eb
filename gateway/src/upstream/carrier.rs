//! What carries one exchange with an endpoint: a connection of HTTP/1 for itself, or a stream of HTTP/2.

use super::{
    connection::{RequestBody, SendError, UpstreamConnection},
    http2::{self, Stream},
};
use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use std::{
    pin::Pin,
    task::{Context, Poll},
};

/// See the module.
#[derive(Debug)]
pub(crate) enum Carrier<B: RequestBody> {
    Http1(Box<UpstreamConnection<B>>),
    Http2(Box<Stream<B>>),
}

/// The body of an endpoint's answer.
#[derive(Debug)]
pub(crate) enum AnswerBody {
    Http1(Incoming),
    Http2(http2::AnswerBody),
}

/// Why an answer's body ends before its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AnswerError {
    #[error(transparent)]
    Http1(#[from] hyper::Error),
    #[error(transparent)]
    Http2(#[from] h2::Error),
}

impl<B: RequestBody> Carrier<B> {
    /// How many exchanges its connection has carried before.
    pub(crate) fn exchanges(&self) -> u32 {
        match self {
            Self::Http1(connection) => connection.exchanges,
            Self::Http2(stream) => stream.exchanges,
        }
    }

    /// Sends `request`, which a client has made over `scheme`, and waits for the head of the answer. The body comes only while
    /// this is driven.
    pub(crate) async fn send(
        &mut self,
        request: Box<Request<B>>,
        scheme: &str,
    ) -> Result<Response<AnswerBody>, SendError<B>> {
        match self {
            Self::Http1(connection) => connection.send(request).await.map(|response| response.map(AnswerBody::Http1)),
            Self::Http2(stream) => {
                // Boxed: it is larger than what HTTP/1 needs.
                let sent = Box::pin(stream.send(request, scheme)).await;
                sent.map(|response| response.map(AnswerBody::Http2))
            }
        }
    }

    /// Carries on with what is on its way.
    pub(crate) fn drive(&mut self, cx: &mut Context<'_>) {
        match self {
            Self::Http1(connection) => _ = connection.poll_drive(cx),
            Self::Http2(stream) => stream.poll_drive(cx),
        }
    }

    /// Lets `take` have of what has come. Wakes nobody until it is driven again.
    pub(crate) fn quietly<T>(&self, take: impl FnOnce() -> T) -> T {
        match self {
            Self::Http1(connection) => connection.quietly(take),
            Self::Http2(_) => take(),
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = AnswerError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, AnswerError>>> {
        match self.get_mut() {
            Self::Http1(body) => Pin::new(body).poll_frame(cx).map_err(AnswerError::Http1),
            Self::Http2(body) => Pin::new(body).poll_frame(cx).map_err(AnswerError::Http2),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Http1(body) => body.is_end_stream(),
            Self::Http2(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Http1(body) => body.size_hint(),
            Self::Http2(body) => body.size_hint(),
        }
    }
}
