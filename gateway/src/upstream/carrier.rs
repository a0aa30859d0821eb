//! What carries one exchange with an endpoint: a connection of HTTP/1 for itself, or a stream of HTTP/2.

use super::{
    connection::{RequestBody, SendError, UpstreamConnection},
    http2::{self, Stream},
    lease::Lease,
};
use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::io::{AsyncRead, AsyncWrite};

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

/// Bytes both ways.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + fmt::Debug + Unpin {}

impl<T: AsyncRead + AsyncWrite + fmt::Debug + Unpin> Duplex for T {}

/// What is left of an exchange once its endpoint speaks another protocol.
#[derive(Debug)]
pub(crate) struct Switched {
    pub(crate) bytes: Box<dyn Duplex>,
    /// What the endpoint sent right behind its answer.
    pub(crate) greeting: Bytes,
    pub(crate) lease: Option<Box<Lease>>,
    /// The end of the other side is not that of both: so it is on a stream, where HTTP/2 knows half-closed ones (RFC 9113 §5.1).
    pub(crate) knows_half_close: bool,
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

    pub(crate) const fn is_http2(&self) -> bool {
        matches!(self, Self::Http2(_))
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

    /// What is behind `answer`, with which the endpoint has agreed to another protocol. `None` for any other answer by HTTP/2.
    pub(crate) async fn switch(self, answer: AnswerBody) -> Option<Switched> {
        match (self, answer) {
            (Self::Http1(mut connection), _) => {
                let lease = connection.take_lease();
                let parts = connection.into_tunnel().await;
                Some(Switched {
                    bytes: Box::new(parts.io.into_inner()),
                    greeting: parts.read_buf,
                    lease,
                    knows_half_close: false,
                })
            }
            (Self::Http2(stream), AnswerBody::Http2(answer)) => {
                let bytes = Box::new(stream.into_duplex(answer)?);
                Some(Switched { bytes, greeting: Bytes::new(), lease: None, knows_half_close: true })
            }
            (Self::Http2(_), AnswerBody::Http1(_)) => None,
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
