//! One HTTP/1.1 connection to an endpoint, with the future that drives it.

use super::{doorbell::Doorbell, lease::Lease, stream::Stream};
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::{
    body::Incoming,
    client::conn::http1::{Connection, Parts, SendRequest},
};
use hyper_util::rt::TokioIo;
use std::{
    error::Error,
    future::poll_fn,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Waker},
};

/// What a request body must be to be sent.
pub(crate) trait RequestBody: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + 'static {}

impl<B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + 'static> RequestBody for B {}

/// A connection that carries one exchange at a time.
#[derive(Debug)]
pub(crate) struct UpstreamConnection<B: RequestBody> {
    sender: SendRequest<B>,
    connection: Connection<TokioIo<Stream>, B>,
    /// The connection's future has ended and must not be polled again.
    ended: bool,
    bell: Arc<Doorbell>,
    /// Rings the bell.
    waker: Waker,
    pub(crate) endpoint: SocketAddr,
    /// How many exchanges it has carried.
    pub(crate) exchanges: u32,
    /// When it was last put aside, in the worker's coarse milliseconds.
    pub(super) idle_since: u64,
    /// `None` for a cluster without a `connectionPool`.
    pub(super) lease: Option<Box<Lease>>,
}

/// A request that got no response head.
#[derive(Debug)]
pub(crate) struct SendError<B> {
    pub(crate) kind: SendErrorKind,
    /// The request, when not a byte of it has been written.
    pub(crate) unsent: Option<Box<Request<B>>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SendErrorKind {
    /// The endpoint closed or reset the connection.
    Terminated,
    /// What came was not HTTP.
    Protocol,
    /// The endpoint reset the stream of the request (HTTP/2).
    Remote,
    /// The same, without having looked at the request.
    Refused,
    /// Our own side gave up: the request's body failed.
    RequestBody,
}

impl<B: RequestBody> UpstreamConnection<B> {
    pub(super) fn new(
        sender: SendRequest<B>,
        connection: Connection<TokioIo<Stream>, B>,
        endpoint: SocketAddr,
        lease: Option<Box<Lease>>,
    ) -> Self {
        let bell = Doorbell::new();
        let waker = Waker::from(Arc::clone(&bell));
        Self { sender, connection, ended: false, bell, waker, endpoint, exchanges: 0, idle_since: 0, lease }
    }

    /// Drives the connection. Ready when it has ended.
    pub(crate) fn poll_drive(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.ended {
            return Poll::Ready(());
        }
        self.bell.answer(cx.waker());
        self.bell.reset();
        let mut cx = Context::from_waker(&self.waker);
        // Errors have been handed to the waiting exchange, if there is one; an idle connection's are of no interest.
        let poll = Pin::new(&mut self.connection).poll(&mut cx).map(|_| ());
        self.ended = poll.is_ready();
        poll
    }

    /// Wakes nobody until it is driven again.
    pub(super) fn silence(&self) {
        self.bell.silence();
    }

    /// Lets `take` have of what has come, and wakes nobody until the connection is driven again. hyper rings when something
    /// is taken, to be driven for more; whoever wants more drives it.
    pub(crate) fn quietly<T>(&self, take: impl FnOnce() -> T) -> T {
        self.bell.silence();
        let rung = self.bell.has_rung();
        let taken = take();
        self.bell.restore(rung);
        taken
    }

    /// Takes its bounds off the connection, which must be kept for as long as the connection's parts live.
    pub(crate) fn take_lease(&mut self) -> Option<Box<Lease>> {
        self.lease.take()
    }

    /// Whether the last exchange is over on both sides and another may begin.
    pub(crate) fn is_ready(&self) -> bool {
        !self.ended && self.sender.is_ready()
    }

    /// Whether another exchange may begin for all that is known. Drives the connection, for nobody, only when something has
    /// happened to it.
    pub(super) fn is_alive(&mut self) -> bool {
        let driven = !self.bell.has_rung() || self.poll_drive(&mut Context::from_waker(Waker::noop())).is_pending();
        driven && self.is_ready()
    }

    /// Sends `request` and waits for the head of the response. The body comes only while the connection is driven.
    pub(crate) async fn send(&mut self, request: Box<Request<B>>) -> Result<Response<Incoming>, SendError<B>> {
        self.exchanges += 1;
        let mut response = pin!(self.sender.try_send_request(*request));
        let (connection, ended, bell, waker) = (&mut self.connection, &mut self.ended, &self.bell, &self.waker);
        // The response comes out of the connection polled just before it, so it need not wake anybody: a wake-up would only
        // have this very task run once more for nothing.
        let mut nobody = Context::from_waker(Waker::noop());
        poll_fn(move |cx| {
            if !*ended {
                bell.answer(cx.waker());
                bell.reset();
                *ended = Pin::new(&mut *connection).poll(&mut Context::from_waker(waker)).is_ready();
            }
            match response.as_mut().poll(&mut nobody) {
                Poll::Ready(Ok(response)) => Poll::Ready(Ok(response)),
                Poll::Ready(Err(mut error)) => Poll::Ready(Err(SendError {
                    unsent: error.take_message().map(Box::new),
                    kind: SendErrorKind::of(error.error()),
                })),
                Poll::Pending if *ended => {
                    Poll::Ready(Err(SendError { unsent: None, kind: SendErrorKind::Terminated }))
                }
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }

    /// The socket and what was read past the head, after a 101.
    pub(crate) async fn into_tunnel(mut self) -> Parts<TokioIo<Stream>> {
        poll_fn(|cx| self.poll_drive(cx)).await;
        self.connection.into_parts()
    }
}

impl SendErrorKind {
    fn of(error: &hyper::Error) -> Self {
        if error.is_parse() {
            Self::Protocol
        } else if error.is_user() {
            Self::RequestBody
        } else {
            Self::Terminated
        }
    }
}
