//! Whom a connection to an endpoint wakes.

use parking_lot::Mutex;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Wake, Waker},
};

/// Passes the wake-ups of one connection on to whoever uses the connection at the moment.
///
/// Everything in hyper and tokio that waits for the connection knows one and the same waker for as long as the connection
/// lives. Nobody is woken while it rests in the pool, nor while its user takes from it what has come: that user is awake.
#[derive(Debug)]
pub(super) struct Doorbell {
    user: Mutex<Waker>,
    /// Somebody has rung since the connection was last driven.
    rung: AtomicBool,
}

impl Doorbell {
    /// A doorbell that nobody hears yet.
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { user: Mutex::new(Waker::noop().clone()), rung: AtomicBool::new(true) })
    }

    /// The connection is about to be driven, so that whatever has rung is answered.
    pub(super) fn reset(&self) {
        self.rung.store(false, Ordering::Relaxed);
    }

    /// Forgets who has rung since [`has_rung`](Self::has_rung) said `rung`.
    pub(super) fn restore(&self, rung: bool) {
        self.rung.store(rung, Ordering::Relaxed);
    }

    /// Whether there is a reason to drive the connection again.
    pub(super) fn has_rung(&self) -> bool {
        self.rung.load(Ordering::Relaxed)
    }

    /// From now on `user` hears it.
    pub(super) fn answer(&self, user: &Waker) {
        let mut known = self.user.lock();
        if !known.will_wake(user) {
            known.clone_from(user);
        }
    }

    /// From now on nobody hears it.
    pub(super) fn silence(&self) {
        self.answer(Waker::noop());
    }
}

impl Wake for Doorbell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rung.store(true, Ordering::Relaxed);
        self.user.lock().wake_by_ref();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn only_the_present_user_is_woken() {
        let (first, second) = (Arc::new(Count::default()), Arc::new(Count::default()));
        let counts = || (first.0.load(Ordering::Relaxed), second.0.load(Ordering::Relaxed));
        let bell = Doorbell::new();
        let waker = Waker::from(Arc::clone(&bell));
        assert!(bell.has_rung(), "a connection that was never driven");
        bell.reset();
        assert!(!bell.has_rung());
        waker.wake_by_ref();
        assert_eq!(counts(), (0, 0));
        assert!(bell.has_rung(), "although nobody hears it");
        bell.answer(&Waker::from(Arc::clone(&first)));
        waker.wake_by_ref();
        assert_eq!(counts(), (1, 0));
        bell.answer(&Waker::from(Arc::clone(&second)));
        waker.wake_by_ref();
        assert_eq!(counts(), (1, 1));
        bell.silence();
        waker.wake();
        assert_eq!(counts(), (1, 1));
    }
}
