//! The slow lane: whoever has much to do does it a turn at a time, and one of all of them between two looks at the kernel.
//!
//! A thread serves its connections in the order in which they are ready. An answer to a small request would wait there for
//! the turns of all who move megabytes, send a hundred frames at once or take their requests back: even short turns are
//! long when a hundred of them come first. So those wait here for a round, and whoever does little waits for one of them.
//! Nobody waits for ever: every round is somebody's, however many small requests there are.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    future::poll_fn,
    rc::Rc,
    task::{Context, Poll, Waker},
};
use tokio::task::yield_now;

/// What is done in one round, in bytes that are moved: a tenth of a millisecond of copying.
pub(super) const ROUND: usize = 64 * 1024;

/// What is moved without waiting for others, in bytes: an answer, a head or a message of the usual size.
pub(super) const SMALL: usize = 16 * 1024;

/// The lane of one worker.
#[derive(Debug)]
pub(super) struct Lane {
    /// Of the present round.
    left: Cell<usize>,
    waiting: RefCell<VecDeque<Rc<Waiting>>>,
    /// Somebody has been called in this round and has not come yet: whoever comes now is behind.
    is_called: Cell<bool>,
    /// Of whoever begins the rounds, while there is nothing to begin them for.
    starter: RefCell<Option<Waker>>,
}

/// Of somebody who comes here now and then: where it waits, while it does.
#[derive(Debug, Default)]
pub(super) struct Place(Option<Rc<Waiting>>);

#[derive(Debug)]
struct Waiting {
    waker: RefCell<Waker>,
    state: Cell<State>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    InLine,
    Called,
    Gone,
}

impl Default for Lane {
    fn default() -> Self {
        Self {
            left: Cell::new(ROUND),
            waiting: RefCell::default(),
            is_called: Cell::new(false),
            starter: RefCell::default(),
        }
    }
}

impl Lane {
    /// Ready when it is the turn of whoever has `place`: it does something, and says by [`Lane::charge`] how much it was.
    pub(super) fn poll_turn(&self, place: &mut Place, cx: &Context<'_>) -> Poll<()> {
        match &place.0 {
            Some(waiting) if waiting.state.get() == State::InLine => {
                waiting.waker.borrow_mut().clone_from(cx.waker());
                return Poll::Pending;
            }
            Some(waiting) if self.left.get() == 0 => {
                // Somebody who did not have to wait was faster: the next one is this one still.
                waiting.state.set(State::InLine);
                waiting.waker.borrow_mut().clone_from(cx.waker());
                self.waiting.borrow_mut().push_front(Rc::clone(waiting));
            }
            Some(_) => {
                self.is_called.set(false);
                place.0 = None;
                return Poll::Ready(());
            }
            None if self.left.get() > 0 && !self.is_called.get() && self.waiting.borrow().is_empty() => {
                return Poll::Ready(());
            }
            None => {
                let waker = RefCell::new(cx.waker().clone());
                let waiting = Rc::new(Waiting { waker, state: Cell::new(State::InLine) });
                self.waiting.borrow_mut().push_back(Rc::clone(&waiting));
                place.0 = Some(waiting);
            }
        }
        self.start();
        Poll::Pending
    }

    /// So much has been done, in bytes. While there is something left of the round, it is the next one's.
    pub(super) fn charge(&self, bytes: usize) {
        let left = self.left.get().saturating_sub(bytes);
        self.left.set(left);
        if left == 0 {
            self.start();
        } else {
            self.call_next();
        }
    }

    /// Waits for a round, and takes all of it.
    pub(super) async fn round(&self) {
        let mut place = Place::default();
        poll_fn(|cx| self.poll_turn(&mut place, cx)).await;
        self.charge(ROUND);
    }

    /// Begins a round whenever the kernel has been asked who else is ready, for as long as anybody comes here.
    pub(super) async fn run(&self) {
        loop {
            poll_fn(|cx| {
                if !self.is_at_rest() {
                    return Poll::Ready(());
                }
                self.starter.replace(Some(cx.waker().clone()));
                Poll::Pending
            })
            .await;
            yield_now().await;
            self.begin();
        }
    }

    /// Begins a round, whoever has done what in the present one.
    pub(super) fn begin(&self) {
        self.left.set(ROUND);
        self.is_called.set(false);
        self.call_next();
    }

    fn call_next(&self) {
        while let Some(next) = self.waiting.borrow_mut().pop_front() {
            if next.state.get() == State::InLine {
                next.state.set(State::Called);
                self.is_called.set(true);
                next.waker.borrow().wake_by_ref();
                return;
            }
        }
    }

    fn is_at_rest(&self) -> bool {
        self.left.get() == ROUND && self.waiting.borrow().is_empty()
    }

    fn start(&self) {
        if let Some(starter) = self.starter.take() {
            starter.wake();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(waiting) = &self.0 {
            waiting.state.set(State::Gone);
            // What it would wake is over, and need not be kept until it would be its turn.
            waiting.waker.replace(Waker::noop().clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::{select, task};

    fn now() -> Context<'static> {
        Context::from_waker(Waker::noop())
    }

    fn is_let_in(lane: &Lane, place: &mut Place) -> bool {
        lane.poll_turn(place, &now()).is_ready()
    }

    #[test]
    fn who_is_alone_waits_for_the_end_of_its_own_round_only() {
        let lane = Lane::default();
        let mut place = Place::default();
        for _ in 0..4 {
            assert!(is_let_in(&lane, &mut place));
            lane.charge(ROUND / 4);
        }
        assert!(!is_let_in(&lane, &mut place));
        lane.begin();
        assert!(is_let_in(&lane, &mut place));
    }

    #[test]
    fn a_round_is_one_s_and_the_next_one_the_next_one_s() {
        let lane = Lane::default();
        let mut places: Vec<Place> = (0..10).map(|_| Place::default()).collect();
        lane.charge(ROUND);
        assert!(!places.iter_mut().any(|place| is_let_in(&lane, place)));
        for round in 0..30 {
            lane.begin();
            let let_in: Vec<usize> = (0..10)
                .filter(|&number| is_let_in(&lane, &mut places[number]))
                .inspect(|_| lane.charge(ROUND))
                .collect();
            assert_eq!(let_in, [round % 10]);
            // It comes back at once, behind all others.
            assert!(!is_let_in(&lane, &mut places[round % 10]));
        }
    }

    #[test]
    fn what_is_left_of_a_round_is_the_next_one_s() {
        let lane = Lane::default();
        let mut places: Vec<Place> = (0..10).map(|_| Place::default()).collect();
        lane.charge(ROUND);
        assert!(!places.iter_mut().any(|place| is_let_in(&lane, place)));
        lane.begin();
        let mut let_in = Vec::new();
        for (number, place) in places.iter_mut().enumerate() {
            if is_let_in(&lane, place) {
                let_in.push(number);
                lane.charge(ROUND / 4);
            }
        }
        assert_eq!(let_in, [0, 1, 2, 3]);
    }

    #[test]
    fn who_is_called_and_does_not_come_or_has_gone_holds_nobody_up() {
        let lane = Lane::default();
        let (mut gone, mut silent, mut third) = (Place::default(), Place::default(), Place::default());
        lane.charge(ROUND);
        for place in [&mut gone, &mut silent, &mut third] {
            assert!(!is_let_in(&lane, place));
        }
        drop(gone);
        lane.begin();
        assert!(!is_let_in(&lane, &mut third), "it is the second one's turn");
        lane.begin();
        assert!(is_let_in(&lane, &mut third));
        lane.charge(ROUND);
        // Late, and still before whoever comes now.
        assert!(!is_let_in(&lane, &mut silent));
        assert!(!is_let_in(&lane, &mut third));
        lane.begin();
        assert!(!is_let_in(&lane, &mut third));
        assert!(is_let_in(&lane, &mut silent));
    }

    #[test]
    fn others_have_their_turn_between_two_rounds() {
        const BUSY: usize = 100;
        let runtime =
            tokio::runtime::Builder::new_current_thread().build_local(tokio::runtime::LocalOptions::default());
        runtime.expect("a runtime").block_on(async {
            let lane = Rc::new(Lane::default());
            let turns = Rc::new(Cell::new(0_usize));
            for _ in 0..BUSY {
                let (lane, turns) = (Rc::clone(&lane), Rc::clone(&turns));
                task::spawn_local(async move {
                    loop {
                        lane.round().await;
                        turns.set(turns.get() + 1);
                    }
                });
            }
            let others = async {
                for _ in 0..1000 {
                    let before = turns.get();
                    yield_now().await;
                    assert!(turns.get() - before <= 2, "{} turns", turns.get() - before);
                }
            };
            select! {
                () = lane.run() => {}
                () = others => {}
            }
            assert!(turns.get() >= 300, "and the busy ones have theirs: {}", turns.get());
        });
    }
}
