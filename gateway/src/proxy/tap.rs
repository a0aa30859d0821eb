//! What flows past in a request's body, for a copy of the request. It never makes the body wait: a copy that falls too far
//! behind gets no more of it.

use super::body::BodyError;
use bytes::{Bytes, BytesMut};
use http_body::Frame;
use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    task::{Context, Poll, Waker},
};

/// So much may wait for a copy's endpoint.
const MOST_WAITING: usize = 1024 * 1024;

/// Of it, so much is sent at once.
const AT_ONCE: usize = 64 * 1024;

/// The bytes between the original's body and the copy's.
#[derive(Debug, Default)]
pub(super) struct Tap {
    /// A copy: a piece that has come, however small, is a part of all that was read with it.
    waiting: RefCell<BytesMut>,
    state: Cell<State>,
    reader: RefCell<Option<Waker>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Flowing,
    /// All of the body has come.
    Ended,
    /// More than may wait has come, or the original broke off.
    Broken,
}

impl Tap {
    pub(super) fn new() -> Rc<Self> {
        Rc::default()
    }

    /// A piece of the original's body has come. Returns whether the copy has just fallen too far behind.
    pub(super) fn push(&self, piece: &Bytes) -> bool {
        if self.state.get() != State::Flowing {
            return false;
        }
        let mut waiting = self.waiting.borrow_mut();
        let is_too_much = waiting.len() + piece.len() > MOST_WAITING;
        if is_too_much {
            *waiting = BytesMut::new();
            self.finish(State::Broken);
        } else {
            waiting.extend_from_slice(piece);
            self.wake();
        }
        is_too_much
    }

    /// The original's body has come to its end.
    pub(super) fn end(&self) {
        self.finish(State::Ended);
    }

    /// No more comes; unless the body is at its end, the copy cannot be completed.
    pub(super) fn break_off(&self) {
        self.finish(State::Broken);
    }

    fn finish(&self, state: State) {
        if self.state.get() == State::Flowing {
            self.state.set(state);
            self.wake();
        }
    }

    fn wake(&self) {
        if let Some(reader) = self.reader.borrow_mut().take() {
            reader.wake();
        }
    }

    /// What the copy sends next.
    pub(super) fn poll_frame(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut waiting = self.waiting.borrow_mut();
        if !waiting.is_empty() {
            let length = waiting.len().min(AT_ONCE);
            return Poll::Ready(Some(Ok(Frame::data(waiting.split_to(length).freeze()))));
        }
        match self.state.get() {
            State::Ended => Poll::Ready(None),
            State::Broken => Poll::Ready(Some(Err(BodyError::CopyAbandoned))),
            State::Flowing => {
                self.reader.replace(Some(cx.waker().clone()));
                Poll::Pending
            }
        }
    }

    /// Whether the copy has sent everything.
    pub(super) fn is_read(&self) -> bool {
        self.state.get() == State::Ended && self.waiting.borrow().is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poll(tap: &Tap) -> Poll<Option<Result<Bytes, String>>> {
        let frame = tap.poll_frame(&mut Context::from_waker(Waker::noop()));
        frame.map(|frame| {
            frame.map(|frame| frame.map(|f| f.into_data().unwrap_or_default()).map_err(|error| error.to_string()))
        })
    }

    #[test]
    fn a_copy_gets_everything_in_order() {
        let tap = Tap::new();
        assert!(poll(&tap).is_pending());
        assert!(!tap.push(&Bytes::from_static(b"a")) && !tap.push(&Bytes::from_static(b"b")));
        tap.end();
        assert!(!tap.is_read());
        assert_eq!(poll(&tap), Poll::Ready(Some(Ok(Bytes::from_static(b"ab")))));
        assert_eq!(poll(&tap), Poll::Ready(None));
        assert!(tap.is_read());
    }

    #[test]
    fn what_waits_for_a_copy_holds_nothing_else() {
        let (tap, read) = (Tap::new(), Bytes::from(vec![b'y'; 8192]));
        assert!((0..8192).all(|index| !tap.push(&read.slice(index..=index))));
        assert!(read.is_unique());
        assert_eq!(poll(&tap), Poll::Ready(Some(Ok(read))));
    }

    #[test]
    fn a_copy_that_falls_behind_is_given_up() {
        let tap = Tap::new();
        let piece = Bytes::from(vec![0; MOST_WAITING / 4]);
        assert!((0..4).all(|_| !tap.push(&piece)));
        assert!(tap.push(&piece), "the fifth is too much");
        assert!(!tap.push(&piece), "said once");
        tap.end();
        assert!(matches!(poll(&tap), Poll::Ready(Some(Err(_)))), "a part of a body is not the body");
    }

    #[test]
    fn a_copy_of_what_broke_off_breaks_off() {
        let tap = Tap::new();
        tap.push(&Bytes::from_static(b"half"));
        tap.break_off();
        assert!(matches!(poll(&tap), Poll::Ready(Some(Ok(_)))));
        assert!(matches!(poll(&tap), Poll::Ready(Some(Err(_)))));
    }
}
