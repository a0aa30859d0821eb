//! What a client's connection is doing and since when, so that one slow sweep can end those that do nothing: no timer per
//! request.

use super::{settings::Limits, transport::Transport};
use std::{
    cell::{Cell, RefCell},
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker, ready},
    time::{Duration, Instant},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A worker's coarse clock: as old as the last request or the last sweep.
#[derive(Debug)]
pub(super) struct Clock {
    origin: Instant,
    milliseconds: Cell<u64>,
}

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Making a TLS handshake.
    Handshake,
    /// Waiting for a request.
    Idle,
    /// Some bytes of a head have come.
    Head,
    /// A request is being answered.
    Exchange,
    /// The same, and the upstream could take more of the request's body than the client sends.
    Body,
}

/// What the sweep has decided about a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    None,
    /// End after the current exchange, or now if there is none.
    Close,
    /// The phase has lasted too long.
    Expire,
}

/// The state that a connection's socket, its exchange and the sweep share. With HTTP/2 every stream has one besides.
#[derive(Debug)]
pub(super) struct Activity {
    clock: Rc<Clock>,
    phase: Cell<Phase>,
    /// When the sweep first saw the connection in this phase: the clock is too coarse to tell when the phase began, and
    /// nobody's time may be cut short by that.
    since: Cell<Option<u64>>,
    order: Cell<Order>,
    waker: RefCell<Option<Waker>>,
    /// Bytes of the current request's body so far.
    request_bytes: Cell<u64>,
    /// The streams in progress, for a connection of HTTP/2.
    streams: Cell<Option<u32>>,
    /// The connection, for a stream.
    connection: Option<Rc<Activity>>,
}

/// A client's socket, which notes when a head begins to arrive.
#[derive(Debug)]
pub(super) struct ClientSocket {
    transport: Transport,
    activity: Rc<Activity>,
}

impl Clock {
    pub(super) fn new() -> Self {
        Self { origin: Instant::now(), milliseconds: Cell::new(0) }
    }

    pub(super) fn now(&self) -> u64 {
        self.milliseconds.get()
    }

    pub(super) fn advance_to(&self, instant: Instant) {
        self.milliseconds.set(milliseconds(instant.duration_since(self.origin)));
    }
}

impl Activity {
    pub(super) fn new(clock: Rc<Clock>) -> Self {
        Self::build(clock, None)
    }

    fn build(clock: Rc<Clock>, connection: Option<Rc<Self>>) -> Self {
        Self {
            clock,
            phase: Cell::new(Phase::Idle),
            since: Cell::new(None),
            order: Cell::new(Order::None),
            waker: RefCell::new(None),
            request_bytes: Cell::new(0),
            streams: Cell::new(None),
            connection,
        }
    }

    /// Of a stream that begins on `connection` now; it ends with the value.
    pub(super) fn of_stream(connection: &Rc<Self>) -> Rc<Self> {
        let streams = connection.streams.get().unwrap_or_default();
        connection.streams.set(Some(streams + 1));
        if streams == 0 {
            connection.enter(Phase::Exchange);
        }
        Rc::new(Self::build(Rc::clone(&connection.clock), Some(Rc::clone(connection))))
    }

    /// From now on the connection speaks HTTP/2: it is idle while it has no streams.
    pub(super) fn multiplex(&self) {
        self.streams.set(Some(0));
        self.enter(Phase::Idle);
    }

    /// Whether a connection of HTTP/2 has nothing to do.
    pub(super) fn has_no_streams(&self) -> bool {
        self.streams.get() == Some(0)
    }

    /// The connection's, for a stream.
    pub(super) fn connection(&self) -> Option<&Self> {
        self.connection.as_deref()
    }

    pub(super) fn phase(&self) -> Phase {
        self.phase.get()
    }

    pub(super) fn order(&self) -> Order {
        self.order.get()
    }

    pub(super) fn request_bytes(&self) -> u64 {
        self.request_bytes.get()
    }

    /// Notes a change of phase.
    pub(super) fn enter(&self, phase: Phase) {
        if phase == Phase::Exchange && self.phase.get() != Phase::Body {
            self.request_bytes.set(0);
        }
        self.phase.set(phase);
        self.since.set(None);
    }

    /// A piece of the request's body has come.
    pub(super) fn received_body(&self, bytes: usize) {
        self.request_bytes.set(self.request_bytes.get() + bytes as u64);
        if self.phase.get() == Phase::Body {
            self.phase.set(Phase::Exchange);
        }
    }

    /// The upstream waits for more of the request's body.
    pub(super) fn wait_for_body(&self) {
        if self.phase.get() == Phase::Exchange {
            self.enter(Phase::Body);
        }
    }

    /// Whether the client has let the request's body stand still too long.
    pub(super) fn body_expired(&self) -> bool {
        self.order.get() == Order::Expire && self.phase.get() == Phase::Body
    }

    /// Who is to be woken when the sweep decides something.
    pub(super) fn set_waker(&self, waker: &Waker) {
        let mut known = self.waker.borrow_mut();
        if !known.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *known = Some(waker.clone());
        }
    }

    pub(super) fn give_order(&self, order: Order) {
        // "Too long" is the stronger word.
        if self.order.get() != Order::Expire {
            self.order.set(order);
        }
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    /// Whether the present phase has lasted longer than `limits` allow; late by a period of the sweep at most, and never
    /// early.
    pub(super) fn is_overdue(&self, limits: &Limits) -> bool {
        let limit = match self.phase.get() {
            Phase::Handshake => limits.handshake_timeout,
            Phase::Idle => limits.keep_alive_timeout,
            Phase::Head => limits.head_timeout,
            Phase::Body => limits.body_idle_timeout,
            Phase::Exchange => return false,
        };
        self.lasted(limit)
    }

    /// Whether the connection has been idle for at least `rest`.
    pub(super) fn is_resting(&self, rest: Duration) -> bool {
        self.phase.get() == Phase::Idle && self.lasted(rest)
    }

    fn lasted(&self, limit: Duration) -> bool {
        let now = self.clock.now();
        let since = self.since.get().unwrap_or(now);
        self.since.set(Some(since));
        now.saturating_sub(since) >= milliseconds(limit)
    }
}

impl ClientSocket {
    pub(super) fn new(transport: Transport, activity: Rc<Activity>) -> Self {
        Self { transport, activity }
    }

    /// What is below, once HTTP is over.
    pub(super) fn into_transport(self) -> Transport {
        self.transport
    }
}

impl AsyncRead for ClientSocket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.transport).poll_read(cx, buf))?;
        let activity = &self.activity;
        // What comes on a connection of HTTP/2 may be anything.
        if buf.filled().len() > before && activity.phase.get() == Phase::Idle && activity.streams.get().is_none() {
            activity.enter(Phase::Head);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ClientSocket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.transport).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.transport).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.transport.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.transport).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.transport).poll_shutdown(cx)
    }
}

impl Drop for Activity {
    fn drop(&mut self) {
        let Some(connection) = &self.connection else { return };
        let left = connection.streams.get().unwrap_or_default().saturating_sub(1);
        connection.streams.set(Some(left));
        if left == 0 {
            connection.enter(Phase::Idle);
        }
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
