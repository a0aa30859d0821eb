//! A client that only wants its answers.

use harness::{
    http::client::{Client, get},
    wait,
};
use std::{
    net::SocketAddr,
    panic,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// Asks all the time, on one connection, until it is stopped.
pub(super) struct Victim {
    answers: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    asking: Option<JoinHandle<()>>,
}

impl Victim {
    /// Returns when it has had an answer.
    pub(super) fn start(gateway: SocketAddr) -> Self {
        let (answers, stop) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let asking = thread::spawn({
            let (answers, stop) = (Arc::clone(&answers), Arc::clone(&stop));
            move || {
                let mut client = Client::connect(gateway);
                // A channel nobody sends to: its timeout is the pause between two requests.
                let (_sender, pause) = mpsc::channel::<()>();
                while !stop.load(Ordering::SeqCst) {
                    let _waited = pause.recv_timeout(Duration::from_millis(5));
                    let answer = client.exchange(get("victim", "/victim"));
                    assert_eq!((answer.status(), answer.text()), (200, "here"));
                    answers.fetch_add(1, Ordering::SeqCst);
                }
            }
        });
        let victim = Self { answers, stop, asking: Some(asking) };
        victim.some_more();
        victim
    }

    /// Returns when it has had twenty more answers.
    pub(super) fn some_more(&self) {
        let wanted = self.answers.load(Ordering::SeqCst) + 20;
        wait::until("the victim's answers", Duration::from_secs(60), || {
            let has_failed = self.asking.as_ref().is_some_and(JoinHandle::is_finished);
            (has_failed || self.answers.load(Ordering::SeqCst) >= wanted).then_some(())
        });
    }

    /// # Panics
    /// When one of its answers was not what it wanted.
    pub(super) fn stop(mut self) {
        self.some_more();
        self.stop.store(true, Ordering::SeqCst);
        if let Some(asking) = self.asking.take()
            && let Err(panicked) = asking.join()
        {
            panic::resume_unwind(panicked);
        }
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
    }
}
