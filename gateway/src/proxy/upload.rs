//! A request's body that more than one reader may want: it is kept for another attempt, up to a limit, and it is known when
//! all of it has come.

use super::{
    activity::Activity,
    body::{BodyError, poll_client},
    client::Client,
    tap::Tap,
};
use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use prometheus_client::metrics::counter::Counter;
use smallvec::SmallVec;
use std::{
    cell::RefCell,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Instant,
};

/// Envoy's default buffer limit of a connection: what is larger is not kept, and not sent again.
const MOST_KEPT: usize = 1024 * 1024;

/// A body on its way, shared by the attempts of one request.
#[derive(Debug)]
pub(super) struct Upload {
    state: RefCell<State>,
    activity: Rc<Activity>,
}

#[derive(Debug)]
struct State {
    incoming: Incoming,
    /// Everything that has come so far; `None` when it is not kept, or not any more.
    kept: Option<Vec<Piece>>,
    kept_bytes: usize,
    /// When the last of it came.
    ended: Option<Instant>,
    taps: SmallVec<[Rc<Tap>; 1]>,
    lost_copies: Counter,
}

#[derive(Clone, Debug)]
enum Piece {
    Data(Bytes),
    Trailers(HeaderMap),
}

/// How far one attempt has read; not counted for a body that is not kept.
#[derive(Debug, Default)]
pub(super) struct Position(usize);

impl Upload {
    pub(super) fn new(incoming: Incoming, client: &Client, keep: bool) -> Rc<Self> {
        let lost_copies = client.worker.telemetry().mirrors().abandoned.clone();
        let state = State {
            incoming,
            kept: keep.then(Vec::new),
            kept_bytes: 0,
            ended: None,
            taps: SmallVec::new(),
            lost_copies,
        };
        Rc::new(Self { state: RefCell::new(state), activity: Rc::clone(&client.activity) })
    }

    /// When the last of the body came; `None` while more is to come.
    pub(super) fn ended(&self) -> Option<Instant> {
        self.state.borrow().ended
    }

    /// Lets a copy of the request have the body too, from its beginning: before anything of it has been read.
    pub(super) fn tap(&self) -> Rc<Tap> {
        let tap = Tap::new();
        self.state.borrow_mut().taps.push(Rc::clone(&tap));
        tap
    }

    /// Whether a new attempt could begin from the beginning.
    pub(super) fn is_whole(&self) -> bool {
        let state = self.state.borrow();
        state.kept.is_some() && state.kept_bytes <= MOST_KEPT
    }

    /// Reads ahead while no attempt does, as far as is kept. Never ready: whoever waits, waits for something else.
    pub(super) fn read_ahead(&self, cx: &mut Context<'_>) {
        let mut state = self.state.borrow_mut();
        while state.kept.is_some() && state.kept_bytes < MOST_KEPT && state.ended.is_none() {
            // An error is kept by hyper, and found by the next reader.
            let Poll::Ready(Some(Ok(frame))) = state.poll_incoming(cx, &self.activity) else { return };
            // Even the one that is too much: nobody has read it yet.
            state.keep(&frame);
        }
    }

    /// The next frame for a reader at `position`.
    pub(super) fn poll_frame(
        &self,
        position: &mut Position,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut state = self.state.borrow_mut();
        if let Some(piece) = state.kept.as_ref().and_then(|kept| kept.get(position.0)) {
            let frame = piece.frame();
            position.0 += 1;
            return Poll::Ready(Some(Ok(frame)));
        }
        let frame = match state.poll_incoming(cx, &self.activity) {
            Poll::Pending => {
                self.activity.wait_for_body();
                return Poll::Pending;
            }
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
            Poll::Ready(Some(Ok(frame))) => frame,
        };
        state.keep(&frame);
        position.0 += 1;
        if state.kept_bytes > MOST_KEPT {
            // Its only reader has it all.
            state.kept = None;
        }
        Poll::Ready(Some(Ok(frame)))
    }

    /// Whether a reader at `position` has read everything.
    pub(super) fn is_read(&self, position: &Position) -> bool {
        let state = self.state.borrow();
        state.incoming.is_end_stream() && state.kept.as_ref().is_none_or(|kept| position.0 >= kept.len())
    }

    /// What lies before a reader at `position`.
    pub(super) fn size_hint(&self, position: &Position) -> SizeHint {
        let state = self.state.borrow();
        let mut hint = state.incoming.size_hint();
        let unread = state.kept.as_ref().and_then(|kept| kept.get(position.0..)).unwrap_or_default();
        let bytes: u64 = unread.iter().map(Piece::length).sum();
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper.saturating_add(bytes));
        }
        hint.set_lower(hint.lower().saturating_add(bytes));
        hint
    }
}

impl Drop for State {
    fn drop(&mut self) {
        // One that has ended stays so.
        self.taps.iter().for_each(|tap| tap.break_off());
    }
}

impl State {
    fn poll_incoming(
        &mut self,
        cx: &mut Context<'_>,
        activity: &Activity,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.ended.is_some() {
            return Poll::Ready(None);
        }
        let frame = ready!(poll_client(&mut self.incoming, activity, cx));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            activity.received_body(data.len());
            for tap in &self.taps {
                if tap.push(data) {
                    self.lost_copies.inc();
                }
            }
        }
        if frame.is_none() || self.incoming.is_end_stream() {
            self.ended = Some(Instant::now());
            self.taps.iter().for_each(|tap| tap.end());
        }
        Poll::Ready(frame)
    }

    /// Keeps `frame`, unless nothing is kept any more.
    fn keep(&mut self, frame: &Frame<Bytes>) {
        let Some(kept) = &mut self.kept else { return };
        let Some(piece) = Piece::of(frame) else { return };
        self.kept_bytes = self.kept_bytes.saturating_add(usize::try_from(piece.length()).unwrap_or(usize::MAX));
        kept.push(piece);
    }
}

impl Piece {
    fn of(frame: &Frame<Bytes>) -> Option<Self> {
        let data = frame.data_ref().map(|data| Self::Data(data.clone()));
        data.or_else(|| frame.trailers_ref().map(|trailers| Self::Trailers(trailers.clone())))
    }

    fn frame(&self) -> Frame<Bytes> {
        match self {
            Self::Data(data) => Frame::data(data.clone()),
            Self::Trailers(trailers) => Frame::trailers(trailers.clone()),
        }
    }

    fn length(&self) -> u64 {
        match self {
            Self::Data(data) => data.len() as u64,
            Self::Trailers(_) => 0,
        }
    }
}
