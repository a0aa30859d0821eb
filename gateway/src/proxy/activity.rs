//! What a client's connection is doing and since when, so that one slow sweep can end those that do nothing: no timer per
//! request.

use super::{settings::Limits, transport::Transport};
use crate::message::framing;
use bytes::Bytes;
use std::{
    cell::{Cell, RefCell},
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker, ready},
    time::{Duration, Instant},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Of a head that hyper may read in several goes. It reads as much as there is, and looks through all of it each time.
const HEAD_IN_PIECES: usize = 8 * 1024;

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
    /// The same for so long that nothing is kept for HTTP.
    Rest,
    /// Some bytes of a head have come.
    Head,
    /// A request is being answered.
    Exchange,
    /// The same, and the upstream could take more of the request's body than the client sends.
    Body,
}

/// What the sweep has decided about a connection; the last is the strongest word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Order {
    None,
    /// Nothing has happened for a moment: give back what HTTP needs.
    Rest,
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
    /// Something has been written, but not all that there was to write.
    is_writing: Cell<bool>,
    /// The client takes nothing of what is to be sent to it.
    stalled: Cell<bool>,
    /// The answer of a stream has begun.
    has_answer: Cell<bool>,
    /// The last read has found nothing, so that whatever comes announces itself.
    is_drained: Cell<bool>,
    /// The body of the last request has not been read to its end: what comes next may be the rest of it.
    has_body_left: Cell<bool>,
    /// The head that has come last says twice where its body ends.
    is_framed_twice: Cell<bool>,
    /// More of a head may have come: it is left to whoever finds that the connection waits for it.
    is_held: Cell<bool>,
    /// Bytes of the head that is coming, without those that had been given back.
    head_bytes: Cell<usize>,
    /// Something has come since the last request began.
    has_read: Cell<bool>,
}

/// A client's socket, which notes when a head begins to arrive.
#[derive(Debug)]
pub(super) struct ClientSocket {
    transport: Transport,
    activity: Rc<Activity>,
    /// What has been read, and given back.
    unread: Bytes,
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
            is_writing: Cell::new(false),
            stalled: Cell::new(false),
            has_answer: Cell::new(false),
            is_drained: Cell::new(false),
            has_body_left: Cell::new(false),
            is_framed_twice: Cell::new(false),
            is_held: Cell::new(false),
            head_bytes: Cell::new(0),
            has_read: Cell::new(false),
        }
    }

    /// Of a stream that begins on `connection` now; it ends with the value.
    pub(super) fn of_stream(connection: &Rc<Self>) -> Rc<Self> {
        let streams = connection.streams.get().unwrap_or_default();
        connection.streams.set(Some(streams + 1));
        if streams == 0 {
            connection.enter(Phase::Exchange);
            // It came while its connection was told to leave for having nothing to do.
            connection.order.set(connection.order.get().min(Order::Close));
        }
        Rc::new(Self::build(Rc::clone(&connection.clock), Some(Rc::clone(connection))))
    }

    /// Whether it is of a stream of HTTP/2.
    pub(super) fn is_stream(&self) -> bool {
        self.connection.is_some()
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

    /// A request begins, with or without a body. Returns whether its head says twice where that ends, as far as could be
    /// seen.
    pub(super) fn begin_request(&self, has_body: bool) -> bool {
        self.has_body_left.set(has_body);
        self.is_framed_twice.take()
    }

    /// Whether the request that begins now had come before the last one was answered: with it, behind it (RFC 9112 §9.3.2).
    pub(super) fn is_pipelined(&self) -> bool {
        !self.has_read.take()
    }

    /// All of the request's body has been read.
    pub(super) fn has_read_body(&self) {
        self.has_body_left.set(false);
    }

    /// `bytes` have come while the connection waited for a request: a head begins with them, or with what hyper has of it
    /// already.
    fn receive_head(&self, bytes: &[u8]) {
        self.enter(Phase::Head);
        self.is_framed_twice.set(!self.has_body_left.get() && framing::is_framed_twice(bytes));
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

    /// Whether the client has left an answer standing for too long. What a stream answers may be past us while its client
    /// takes nothing of it.
    pub(super) fn answer_expired(&self) -> bool {
        let waits = match self.phase.get() {
            // What had been answered is not written yet.
            Phase::Idle | Phase::Head if !self.is_stream() => self.is_writing.get(),
            Phase::Handshake | Phase::Rest if !self.is_stream() => false,
            _ => self.stalled.get(),
        };
        self.order.get() == Order::Expire && waits
    }

    /// The answer of a stream begins. Whatever has expired before is said by it.
    pub(super) fn begin_answer(&self) {
        self.order.set(Order::None);
        self.has_answer.set(true);
        self.set_stalled(true);
    }

    /// Whether the answer of a stream has begun.
    pub(super) fn has_answer(&self) -> bool {
        self.has_answer.get()
    }

    /// Whether something waits for the client to take it.
    pub(super) fn is_stalled(&self) -> bool {
        self.stalled.get()
    }

    /// Notes whether the client takes what is sent to it.
    pub(super) fn set_stalled(&self, is_stalled: bool) {
        if self.stalled.replace(is_stalled) != is_stalled {
            self.since.set(None);
        }
    }

    /// Who is to be woken when the sweep decides something.
    pub(super) fn set_waker(&self, waker: &Waker) {
        let mut known = self.waker.borrow_mut();
        if !known.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *known = Some(waker.clone());
        }
    }

    pub(super) fn give_order(&self, order: Order) {
        self.order.set(self.order.get().max(order));
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    /// Whether the present phase has lasted longer than `limits` allow; late by a period of the sweep at most, and never
    /// early.
    pub(super) fn is_overdue(&self, limits: &Limits) -> bool {
        let limit = match self.phase.get() {
            Phase::Body => limits.body_idle_timeout,
            _ if self.is_stream() && self.stalled.get() => limits.answer_idle_timeout,
            Phase::Handshake => limits.handshake_timeout,
            // The last answer is with HTTP, and not yet with the client.
            Phase::Idle | Phase::Head if self.is_writing.get() => limits.answer_idle_timeout,
            Phase::Idle | Phase::Rest => limits.keep_alive_timeout,
            Phase::Head => limits.head_timeout,
            Phase::Exchange if self.stalled.get() => limits.answer_idle_timeout,
            Phase::Exchange => return false,
        };
        self.lasted(limit)
    }

    /// Whether the connection has been idle for at least `time`.
    pub(super) fn is_idle_for(&self, time: Duration) -> bool {
        matches!(self.phase.get(), Phase::Idle | Phase::Rest) && self.lasted(time)
    }

    /// Takes the order to rest. Returns whether it still holds: nothing has come since, and everything is written.
    pub(super) fn takes_rest(&self) -> bool {
        if self.order.get() != Order::Rest {
            return false;
        }
        self.order.set(Order::None);
        self.phase.get() == Phase::Idle && !self.is_writing.get()
    }

    /// Whether something that has been answered is not written yet.
    pub(super) fn is_writing(&self) -> bool {
        self.is_writing.get()
    }

    /// Whether a head has come in part, and nothing else is to be done than to wait for the rest of it.
    pub(super) fn waits_for_head(&self) -> bool {
        let has_no_more = self.is_drained.get() || self.is_held.get();
        self.phase.get() == Phase::Head && has_no_more && !self.is_writing.get()
    }

    /// The connection waits without HTTP, or with it again; the time it has been idle goes on.
    pub(super) fn set_resting(&self, resting: bool) {
        self.phase.set(if resting { Phase::Rest } else { Phase::Idle });
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
        // Behind a handshake the first request may have come with its end.
        activity.is_drained.set(matches!(transport, Transport::Plain(_)));
        Self { transport, activity, unread: Bytes::new() }
    }

    /// The transport, with `read` and all else that has been read before what is still to come.
    pub(super) fn into_transport(self, read: Bytes) -> Transport {
        let read = if self.unread.is_empty() { read } else { [read, self.unread].concat().into() };
        Transport::Begun(read, Box::new(self.transport))
    }

    /// Gives back what has been read and not used: it is read first.
    pub(super) fn give_back(&mut self, unread: Bytes) {
        self.unread = unread;
    }

    /// Reads on, however long the head is that is coming.
    pub(super) fn poll_read_head(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.transport).poll_read(cx, buf);
        self.activity.is_drained.set(read.is_pending());
        self.activity.is_held.set(false);
        read
    }

    /// Ready when there may be something to read, without a place to read it to.
    pub(super) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.unread.is_empty() || !self.activity.is_drained.get() {
            return Poll::Ready(());
        }
        // An error is met by whoever reads.
        self.transport.socket().poll_read_ready(cx).map(|_| ())
    }
}

impl AsyncRead for ClientSocket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        // What comes on a connection of HTTP/2 may be anything.
        let is_head = self.activity.phase.get() == Phase::Idle && self.activity.streams.get().is_none();
        if self.unread.is_empty() {
            let of_head = if is_head { 0 } else { self.activity.head_bytes.get() };
            if of_head >= HEAD_IN_PIECES && self.activity.phase.get() == Phase::Head && !self.activity.is_writing.get()
            {
                // If nobody takes it from here, the head was whole, and this is about what comes behind it.
                self.activity.is_held.set(true);
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            ready!(self.poll_read_head(cx, buf))?;
            let read = &buf.filled()[before..];
            self.activity.has_read.set(true);
            if is_head && !read.is_empty() {
                self.activity.receive_head(read);
            }
            self.activity.head_bytes.set(of_head.saturating_add(read.len()));
        } else {
            if is_head {
                self.activity.head_bytes.set(0);
                self.activity.has_read.set(true);
                // All of it, though there may not be room for that.
                self.activity.receive_head(&self.unread);
            }
            let length = self.unread.len().min(buf.remaining());
            buf.put_slice(&self.unread.split_to(length));
            self.activity.is_drained.set(false);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ClientSocket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.activity.is_writing.set(true);
        let written = Pin::new(&mut self.transport).poll_write(cx, buf);
        self.activity.set_stalled(written.is_pending());
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.activity.is_writing.set(true);
        let written = Pin::new(&mut self.transport).poll_write_vectored(cx, bufs);
        self.activity.set_stalled(written.is_pending());
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.transport.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.transport).poll_flush(cx);
        // TLS takes bytes that the client does not.
        self.activity.set_stalled(flushed.is_pending());
        ready!(flushed)?;
        // hyper flushes when it has handed over everything it has.
        self.activity.is_writing.set(false);
        Poll::Ready(Ok(()))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn idle() -> Activity {
        let activity = Activity::new(Rc::new(Clock::new()));
        activity.give_order(Order::Rest);
        activity
    }

    #[test]
    fn rest_is_taken_once_and_between_exchanges() {
        let activity = idle();
        assert!(activity.takes_rest());
        assert!(!activity.takes_rest(), "an order is for once");
        let activity = idle();
        activity.enter(Phase::Head);
        assert!(!activity.takes_rest(), "a request is coming");
        activity.enter(Phase::Idle);
        assert!(!activity.takes_rest(), "an order is for the moment");
    }

    #[test]
    fn nothing_rests_that_has_something_to_write() {
        let activity = idle();
        activity.is_writing.set(true);
        assert!(!activity.takes_rest());
    }

    #[test]
    fn the_stronger_order_stays() {
        let activity = idle();
        activity.give_order(Order::Close);
        activity.give_order(Order::Rest);
        assert_eq!(activity.order(), Order::Close);
        activity.give_order(Order::Expire);
        activity.give_order(Order::Close);
        assert_eq!(activity.order(), Order::Expire);
    }

    #[test]
    fn a_stream_that_comes_late_is_not_overdue_from_the_beginning() {
        let connection = Rc::new(Activity::new(Rc::new(Clock::new())));
        connection.multiplex();
        connection.give_order(Order::Expire);
        let _stream = Activity::of_stream(&connection);
        connection.set_stalled(true);
        assert!(!connection.answer_expired());
        assert_eq!(connection.order(), Order::Close, "and the connection ends behind it");
    }

    #[test]
    fn time_at_rest_is_idle_time() {
        let clock = Rc::new(Clock::new());
        let activity = Activity::new(Rc::clone(&clock));
        let second = Duration::from_secs(1);
        assert!(!activity.is_idle_for(second), "seen for the first time");
        activity.set_resting(true);
        clock.milliseconds.set(1000);
        assert!(activity.is_idle_for(second));
        activity.set_resting(false);
        assert!(activity.is_idle_for(second), "nothing has come");
    }
}
