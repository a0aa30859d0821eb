//! No limit is exceeded, and what is given back can be had again.

use super::*;
use std::{
    future::Future as _,
    pin::pin,
    sync::atomic::AtomicBool,
    task::{Context, Poll, Wake, Waker},
    thread,
};

/// Threads that take and give back as fast as they can, and how many had something at once at most.
fn most_at_once(threads: usize, rounds: usize, take: impl Fn() -> Option<Box<dyn std::any::Any>> + Sync) -> u32 {
    let (now, most) = (AtomicU32::new(0), AtomicU32::new(0));
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                for round in 0..rounds {
                    let Some(held) = take() else { continue };
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    if round % 7 == 0 {
                        thread::yield_now();
                    }
                    now.fetch_sub(1, Ordering::SeqCst);
                    drop(held);
                }
            });
        }
    });
    most.into_inner()
}

#[test]
fn no_counter_exceeds_its_limit() {
    for of in [Limited::Request, Limited::Pending, Limited::Retry] {
        let limits = Arc::new(Limits::default());
        let most = most_at_once(16, 5_000, || {
            limits.permit(of, Some(3)).map(|permit| Box::new(permit) as Box<dyn std::any::Any>)
        });
        assert!((1..=3).contains(&most), "{of:?}: {most} at once");
        assert_eq!(limits.counter(of).now.load(Ordering::SeqCst), 0, "{of:?}: everything was given back");
    }
}

#[test]
fn without_a_limit_everything_is_counted() {
    let limits = Arc::new(Limits::default());
    let held: Vec<_> = (0..10).filter_map(|_| limits.permit(Limited::Request, None)).collect();
    assert_eq!(limits.counts().requests, 10);
    assert!(limits.permit(Limited::Request, Some(10)).is_none());
    assert_eq!(limits.counts().request_overflow, 1);
    drop(held);
    assert_eq!(limits.counts().requests, 0);
}

#[derive(Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn is_turn(waiting: &Waiting, flag: &Arc<Flag>) -> bool {
    flag.0.store(false, Ordering::SeqCst);
    let waker = Waker::from(Arc::clone(flag));
    matches!(pin!(waiting.turn()).poll(&mut Context::from_waker(&waker)), Poll::Ready(()))
}

#[test]
fn who_waits_for_a_connection_gets_it_in_order() {
    let limits = Arc::new(Limits::default());
    let (first, second, third) = (limits.wait(1), limits.wait(1), limits.wait(1));
    let flags: [Arc<Flag>; 3] = Default::default();
    assert!(is_turn(&first, &flags[0]) && !is_turn(&second, &flags[1]) && !is_turn(&third, &flags[2]));
    let open = first.open().expect("nobody has one");
    drop(first);
    assert!(!is_turn(&second, &flags[1]), "the one there may be is in use");
    drop(second);
    assert!(!is_turn(&third, &flags[2]));
    drop(open);
    assert!(flags[2].0.load(Ordering::SeqCst), "the first in line is woken when a connection ends");
    assert!(is_turn(&third, &flags[2]));
    assert!(third.open().is_some());
}

#[test]
fn a_connection_at_rest_makes_room_for_another() {
    let limits = Arc::new(Limits::default());
    let waiting = limits.wait(1);
    let at_rest = waiting.open().expect("nobody has one");
    drop(waiting);
    let closed = Arc::new(Flag::default());
    let close = || {
        let closed = Arc::clone(&closed);
        Arc::new(move || closed.0.store(true, Ordering::SeqCst)) as Arc<dyn Fn() + Send + Sync>
    };
    at_rest.rest(close());
    assert!(at_rest.resume(), "nobody wanted it");
    at_rest.rest(close());
    let waiting = limits.wait(1);
    assert!(is_turn(&waiting, &Arc::default()));
    let in_its_place = waiting.open().expect("one is at rest");
    assert!(closed.0.load(Ordering::SeqCst));
    assert!(!at_rest.resume(), "it belongs to another");
    assert_eq!(limits.counts().connections, 1);
    drop(at_rest);
    assert_eq!(limits.counts().connections, 1, "the place was handed over");
    drop(in_its_place);
    assert_eq!(limits.counts().connections, 0);
}

#[test]
fn connections_never_exceed_their_limit() {
    let limits = Arc::new(Limits::default());
    let most = most_at_once(16, 3_000, || {
        let waiting = limits.wait(3);
        let permit = waiting.open()?;
        Some(Box::new(permit))
    });
    assert!((1..=3).contains(&most), "{most} at once");
    assert_eq!(limits.counts().connections, 0);
    assert!(!limits.has_line());
}
