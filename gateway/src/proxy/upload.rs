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

/// Of what is kept, so much is sent at once.
const AGAIN: usize = 64 * 1024;

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
    kept: Option<Kept>,
    /// When the last of it came.
    ended: Option<Instant>,
    taps: SmallVec<[Rc<Tap>; 1]>,
    lost_copies: Counter,
}

/// Bytes of our own: a piece that has come, however small, is a part of all that was read with it.
#[derive(Debug, Default)]
struct Kept {
    data: Vec<u8>,
    trailers: Option<HeaderMap>,
}

/// How far one attempt has read; not counted for a body that is not kept.
#[derive(Debug, Default)]
pub(super) struct Position {
    bytes: usize,
    has_trailers: bool,
}

impl Upload {
    pub(super) fn new(incoming: Incoming, client: &Client, keep: bool) -> Rc<Self> {
        let lost_copies = client.worker.telemetry().mirrors().abandoned.clone();
        let state = State { incoming, kept: keep.then(Kept::default), ended: None, taps: SmallVec::new(), lost_copies };
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
        self.state.borrow().kept.as_ref().is_some_and(|kept| kept.data.len() <= MOST_KEPT)
    }

    /// Reads ahead while no attempt does, as far as is kept. Never ready: whoever waits, waits for something else.
    pub(super) fn read_ahead(&self, cx: &mut Context<'_>) {
        let mut state = self.state.borrow_mut();
        while state.ended.is_none() && state.kept.as_ref().is_some_and(|kept| kept.data.len() < MOST_KEPT) {
            // An error is kept by hyper, and found by the next reader.
            let Poll::Ready(Some(Ok(frame))) = state.poll_incoming(cx, &self.activity) else { return };
            if let Some(kept) = &mut state.kept {
                // Even the one that is too much: nobody has read it yet.
                kept.keep(&frame);
            }
        }
    }

    /// The next frame for a reader at `position`.
    pub(super) fn poll_frame(
        &self,
        position: &mut Position,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut state = self.state.borrow_mut();
        if let Some(frame) = state.kept.as_ref().and_then(|kept| kept.after(position)) {
            position.pass(&frame);
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
        position.pass(&frame);
        if let Some(kept) = &mut state.kept {
            kept.keep(&frame);
            if kept.data.len() > MOST_KEPT {
                // Its only reader has it all.
                state.kept = None;
            }
        }
        Poll::Ready(Some(Ok(frame)))
    }

    /// Whether a reader at `position` has read everything.
    pub(super) fn is_read(&self, position: &Position) -> bool {
        let state = self.state.borrow();
        state.incoming.is_end_stream() && state.kept.as_ref().is_none_or(|kept| kept.is_read(position))
    }

    /// What lies before a reader at `position`.
    pub(super) fn size_hint(&self, position: &Position) -> SizeHint {
        let state = self.state.borrow();
        let mut hint = state.incoming.size_hint();
        let bytes = state.kept.as_ref().map_or(0, |kept| kept.data.len().saturating_sub(position.bytes) as u64);
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
}

impl Kept {
    fn keep(&mut self, frame: &Frame<Bytes>) {
        match frame.data_ref() {
            Some(data) => self.data.extend_from_slice(data),
            None => self.trailers = frame.trailers_ref().cloned(),
        }
    }

    /// What comes behind `position`, if it has come.
    fn after(&self, position: &Position) -> Option<Frame<Bytes>> {
        match self.data.get(position.bytes..).filter(|unread| !unread.is_empty()) {
            Some(unread) => Some(Frame::data(Bytes::copy_from_slice(&unread[..unread.len().min(AGAIN)]))),
            None if position.has_trailers => None,
            None => self.trailers.clone().map(Frame::trailers),
        }
    }

    fn is_read(&self, position: &Position) -> bool {
        position.bytes >= self.data.len() && (position.has_trailers || self.trailers.is_none())
    }
}

impl Position {
    fn pass(&mut self, frame: &Frame<Bytes>) {
        match frame.data_ref() {
            Some(data) => self.bytes += data.len(),
            None => self.has_trailers = true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    /// Whoever sends a byte at a time may not have a block kept for each of them.
    #[test]
    fn what_is_kept_holds_nothing_else() {
        let (read, mut kept) = (Bytes::from(vec![b'y'; 8192]), Kept::default());
        for index in 0..8192 {
            kept.keep(&Frame::data(read.slice(index..=index)));
        }
        assert!(read.is_unique());
        assert!(kept.data.capacity() <= 2 * 8192);
    }

    #[test]
    fn each_attempt_has_everything_in_order() {
        let mut kept = Kept::default();
        let trailers = HeaderMap::from_iter([(http::header::ETAG, HeaderValue::from_static("x"))]);
        for piece in ["a", "", "bc"] {
            kept.keep(&Frame::data(Bytes::from_static(piece.as_bytes())));
        }
        kept.keep(&Frame::data(Bytes::from(vec![b'd'; AGAIN])));
        for _ in 0..2 {
            let mut position = Position::default();
            let mut read = Vec::new();
            while let Some(frame) = kept.after(&position) {
                position.pass(&frame);
                read.extend_from_slice(&frame.into_data().unwrap());
            }
            assert!(read == [b"abc", &[b'd'; AGAIN][..]].concat());
            assert!(kept.is_read(&position));
        }
        kept.keep(&Frame::trailers(trailers.clone()));
        let mut position = Position { bytes: kept.data.len(), has_trailers: false };
        assert!(!kept.is_read(&position));
        let frame = kept.after(&position).unwrap();
        position.pass(&frame);
        assert_eq!(frame.into_trailers().unwrap(), trailers);
        assert!(kept.after(&position).is_none() && kept.is_read(&position));
    }
}
