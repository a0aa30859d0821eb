//! One HTTP/2 connection to an endpoint, shared by the exchanges of a worker.
//!
//! A task drives it, because no exchange may wait for another to be polled. An exchange has a [`Stream`] of it, which sends
//! the request and its body; the body of the answer is read from the [`Answer`].

mod answer;
mod duplex;
mod head;
mod pulse;
mod upload;

pub(crate) use answer::AnswerBody;
pub(crate) use duplex::Duplex;

use super::{
    connection::{RequestBody, SendError, SendErrorKind},
    lease::Lease,
};
use crate::{
    message::content_length,
    model::traffic_policy::{Http2Keepalive, Http2Settings},
};
use bytes::Bytes;
use h2::{
    Reason, SendStream,
    client::{Builder, Connection, SendRequest},
    ext::Protocol,
};
use http::{Request, Response, Version};
use pulse::Pulse;
use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    net::SocketAddr,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task,
    time::{sleep, timeout},
};
use upload::{Broken, Upload};

/// Of an answer's body that may wait for its client; a faster endpoint waits. As towards clients.
const STREAM_WINDOW: u32 = 256 * 1024;

/// As many as there are first: an answer that its client does not take must not keep others from theirs, and h2 gives back
/// the windows of a stream and of its connection together.
const CONNECTION_WINDOW: u32 = 100 * STREAM_WINDOW;

/// What h2 may spend on small frames that nobody has read yet: 256 bytes less their length for each. Beyond it, h2 closes the
/// connection with everything on it.
const FRAME_BUDGET: usize = 32 * 1024 * 1024;

/// Of a request's body that may wait for an endpoint that does not read.
const SEND_BUFFER: usize = 128 * 1024;

/// Until an endpoint has said how many requests at once it allows: RFC 9113 §6.5.2 asks for no fewer.
const FIRST_STREAMS: usize = 100;

/// The head of an answer: Envoy's default for responses.
const HEAD_BYTES: u32 = 60 * 1024;

/// See the module.
#[derive(Debug)]
pub(crate) struct Http2Connection {
    sender: RefCell<SendRequest<Bytes>>,
    /// Requests in progress.
    streams: Cell<usize>,
    /// Requests so far.
    exchanges: Cell<u32>,
    most_streams: usize,
    /// No more requests are to be sent on it; those in progress come to their end.
    is_closing: Rc<Cell<bool>>,
    pulse: Rc<Pulse>,
    lease: Option<Rc<Lease>>,
    /// Others may close it to have one in its place.
    is_resting: Cell<bool>,
    /// When the sweep first saw it without requests, in the worker's coarse milliseconds.
    pub(super) idle_since: Cell<Option<u64>>,
}

/// The place of one exchange on a connection, from before it has begun until it is over.
#[derive(Debug)]
pub(crate) struct Stream<B: RequestBody> {
    place: Place,
    upload: Option<Upload<B>>,
    /// Of what the endpoint is sent after it has agreed to an extended CONNECT.
    connect: Option<SendStream<Bytes>>,
    /// How many requests the connection had carried before.
    pub(crate) exchanges: u32,
}

/// There is no connection any more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Closed;

#[derive(Debug)]
struct Place(Rc<Http2Connection>);

impl Http2Connection {
    /// Begins to speak HTTP/2 on `transport`, to `endpoint`. `allows` is how many requests at once others of its connections
    /// allow, where there are any: a new one says so only later.
    ///
    /// # Errors
    /// When the transport takes no bytes.
    pub(crate) async fn begin(
        transport: impl AsyncRead + AsyncWrite + Unpin + 'static,
        endpoint: SocketAddr,
        settings: Http2Settings,
        allows: Option<usize>,
        lease: Option<Box<Lease>>,
    ) -> Result<Rc<Self>, h2::Error> {
        let (sender, mut connection) = Builder::new()
            .enable_push(false)
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .data_frame_budget(FRAME_BUDGET)
            .max_send_buffer_size(SEND_BUFFER)
            .max_header_list_size(HEAD_BYTES)
            .initial_max_send_streams(allows.unwrap_or(FIRST_STREAMS))
            .handshake(transport)
            .await?;
        let lease: Option<Rc<Lease>> = lease.map(Rc::from);
        let is_closing = Rc::new(Cell::new(false));
        let most_streams =
            settings.max_concurrent_streams.and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX);
        let pulse = Pulse::new(connection.ping_pong());
        let keepalive = settings.keepalive.map(|keepalive| (keepalive, Rc::clone(&pulse)));
        let driver = drive(connection, endpoint, keepalive, Rc::clone(&is_closing), lease.clone());
        task::spawn_local(driver);
        Ok(Rc::new(Self {
            sender: RefCell::new(sender),
            streams: Cell::new(0),
            exchanges: Cell::new(0),
            most_streams,
            is_closing,
            pulse,
            lease,
            is_resting: Cell::new(false),
            idle_since: Cell::new(None),
        }))
    }

    /// Whether no further request is for it, at `now`.
    pub(super) fn is_over(&self, now: u64) -> bool {
        self.is_closing.get() || self.lease.as_ref().is_some_and(|lease| lease.is_over(self.exchanges.get(), now))
    }

    /// Whether the endpoint and the policy let it carry one more request now.
    pub(super) fn has_room(&self) -> bool {
        self.streams.get() < self.allows().min(self.most_streams)
    }

    /// How many requests at once the endpoint allows. One that allows none makes them wait, as any other that is busy.
    pub(super) fn allows(&self) -> usize {
        self.sender.borrow().current_max_send_streams().max(1)
    }

    pub(super) fn is_idle(&self) -> bool {
        self.streams.get() == 0
    }

    /// Nobody uses it, if that is so.
    pub(super) fn rest(&self) {
        if let Some(lease) = &self.lease
            && self.is_idle()
            && !self.is_resting.replace(true)
        {
            lease.rest();
        }
    }

    pub(super) fn lease(&self) -> Option<&Lease> {
        self.lease.as_deref()
    }

    /// A place for one more request; `None` when the connection has been closed for the sake of another.
    pub(super) fn stream<B: RequestBody>(self: &Rc<Self>) -> Option<Stream<B>> {
        if self.is_resting.take() && self.lease.as_ref().is_some_and(|lease| !lease.resume()) {
            self.is_closing.set(true);
            return None;
        }
        let exchanges = self.exchanges.get();
        self.exchanges.set(exchanges.saturating_add(1));
        self.streams.set(self.streams.get() + 1);
        self.idle_since.set(None);
        Some(Stream { place: Place(Rc::clone(self)), upload: None, connect: None, exchanges })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.streams.set(self.0.streams.get().saturating_sub(1));
        self.0.rest();
    }
}

impl<B: RequestBody> Stream<B> {
    /// Sends `request`, which a client has made over `scheme`, and waits for the head of the answer. The request's body goes
    /// on only while the stream is driven.
    pub(crate) async fn send(
        &mut self,
        request: Box<Request<B>>,
        scheme: &str,
    ) -> Result<Response<AnswerBody>, SendError<B>> {
        let mut sender = self.place.0.sender.borrow().clone();
        // A connection that has ended, or will take no more, says so now; a request that has not begun can wait for its turn.
        if let Poll::Ready(Err(error)) = sender.poll_ready(&mut Context::from_waker(Waker::noop())) {
            self.place.0.is_closing.set(true);
            return Err(SendError { kind: kind(&error), unsent: Some(request) });
        }
        let (head, body) = request.into_parts();
        let is_connect = head.extensions.get::<Protocol>().is_some();
        let is_whole = !is_connect && body.is_end_stream();
        let sent = sender.send_request(head::of(head, scheme), is_whole);
        let (mut answer, stream) = sent.map_err(|error| SendError { kind: kind(&error), unsent: None })?;
        if is_connect {
            self.connect = Some(stream);
        } else if !is_whole {
            self.upload = Some(Upload::new(stream, body));
        }
        let answered = poll_fn(|cx| {
            if let Poll::Ready(Err(Broken::Body)) = self.poll_upload(cx) {
                return Poll::Ready(Err(SendErrorKind::RequestBody));
            }
            Pin::new(&mut answer).poll(cx).map_err(|error| kind(&error))
        });
        match answered.await {
            Ok(response) => {
                let mut response = response.map(AnswerBody::new);
                if content_length::settle(response.headers_mut()).is_err() {
                    return Err(SendError { kind: SendErrorKind::Protocol, unsent: None });
                }
                *response.version_mut() = Version::HTTP_11;
                if !response.status().is_success()
                    && let Some(mut nothing_more) = self.connect.take()
                {
                    // It fails for a stream that has ended.
                    let _ended = nothing_more.send_data(Bytes::new(), true).is_ok();
                }
                Ok(response)
            }
            Err(kind) => Err(SendError { kind, unsent: None }),
        }
    }

    /// Whether the endpoint takes an extended CONNECT (RFC 8441 §3), of which it must have said so before.
    ///
    /// # Errors
    /// When the connection has ended.
    pub(crate) async fn takes_connect(&self) -> Result<bool, Closed> {
        let connection = &self.place.0;
        // Settings come before everything else (RFC 9113 §3.4).
        if !connection.pulse.has_beaten().await {
            connection.is_closing.set(true);
            return Err(Closed);
        }
        Ok(connection.sender.borrow().is_extended_connect_protocol_enabled())
    }

    /// No more requests are to be sent on its connection; those in progress come to their end.
    pub(crate) fn close_connection(&self) {
        self.place.0.is_closing.set(true);
    }

    /// The bytes behind `answer`, with which the endpoint has agreed to an extended CONNECT; `None` for any other answer.
    pub(crate) fn into_duplex(self, answer: AnswerBody) -> Option<Duplex> {
        Some(Duplex::new(self.connect?, answer.into_stream(), self.place))
    }

    /// Sends what there is of the request's body.
    pub(crate) fn poll_drive(&mut self, cx: &mut Context<'_>) {
        // The answer, or its end, says what became of it.
        let _progress = self.poll_upload(cx);
    }

    fn poll_upload(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        let Some(upload) = &mut self.upload else { return Poll::Ready(Ok(())) };
        let poll = upload.poll(cx);
        if poll.is_ready() {
            self.upload = None;
        }
        poll
    }
}

/// Drives `connection` to its end. `_lease` is that of its socket.
async fn drive<T: AsyncRead + AsyncWrite + Unpin>(
    connection: Connection<T, Bytes>,
    endpoint: SocketAddr,
    keepalive: Option<(Http2Keepalive, Rc<Pulse>)>,
    is_closing: Rc<Cell<bool>>,
    _lease: Option<Rc<Lease>>,
) {
    let ended = match keepalive {
        None => connection.await,
        Some((keepalive, pulse)) => tokio::select! {
            ended = connection => ended,
            () = silence(&pulse, keepalive) => {
                tracing::debug!(%endpoint, "no sign of life");
                Ok(())
            }
        },
    };
    is_closing.set(true);
    if let Err(error) = ended {
        tracing::debug!(%endpoint, %error, "connection ended");
    }
}

/// Returns once the endpoint has not answered in time.
async fn silence(pulse: &Pulse, keepalive: Http2Keepalive) {
    loop {
        sleep(keepalive.interval).await;
        if !timeout(keepalive.timeout, pulse.beat()).await.unwrap_or(false) {
            return;
        }
    }
}

fn kind(error: &h2::Error) -> SendErrorKind {
    // RFC 9113 §6.8: streams above the last one that GOAWAY names were not looked at; h2 gives this error to those alone.
    let is_refused = error.is_go_away() || error.reason() == Some(Reason::REFUSED_STREAM);
    if error.is_remote() && is_refused {
        SendErrorKind::Refused
    } else if error.is_remote() {
        SendErrorKind::Remote
    } else if error.is_io() {
        SendErrorKind::Terminated
    } else {
        SendErrorKind::Protocol
    }
}
