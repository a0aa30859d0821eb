//! A client that only wants its answers, and how long it waits for them, in peace and beside an attack.

use harness::{
    http::client::{Client, get},
    wait,
};
use parking_lot::Mutex;
use std::{
    net::SocketAddr,
    panic,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// Asks all the time, on one connection, until it is stopped.
pub(super) struct Victim {
    attack: &'static str,
    /// Of every answer so far.
    times: Arc<Mutex<Vec<Duration>>>,
    /// So many of them were in peace.
    in_peace: usize,
    answers: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    asking: Option<JoinHandle<()>>,
}

impl Victim {
    /// Returns when it has had a hundred answers, and `attack` may begin.
    pub(super) fn start(attack: &'static str, gateway: SocketAddr) -> Self {
        let times = Arc::<Mutex<Vec<Duration>>>::default();
        let (answers, stop) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let asking = thread::spawn({
            let (answers, stop, times) = (Arc::clone(&answers), Arc::clone(&stop), Arc::clone(&times));
            move || {
                let mut client = Client::connect(gateway);
                // A channel nobody sends to: its timeout is the pause between two requests.
                let (_sender, pause) = mpsc::channel::<()>();
                while !stop.load(Ordering::SeqCst) {
                    let _waited = pause.recv_timeout(Duration::from_millis(5));
                    let asked = Instant::now();
                    let answer = client.exchange(get("victim", "/victim"));
                    assert_eq!((answer.status(), answer.text()), (200, "here"));
                    times.lock().push(asked.elapsed());
                    answers.fetch_add(1, Ordering::SeqCst);
                }
            }
        });
        let mut victim = Self { attack, times, in_peace: 0, answers, stop, asking: Some(asking) };
        (0..5).for_each(|_| victim.some_more());
        victim.in_peace = victim.times.lock().len();
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
        let times = self.times.lock();
        let (peace, attack) = times.split_at(self.in_peace);
        // A figure to look at: a machine that others use too may say anything.
        println!("{}: p99 {:?} beside it, {:?} in peace", self.attack, p99(attack), p99(peace));
    }
}

fn p99(times: &[Duration]) -> Duration {
    let mut times = times.to_vec();
    times.sort_unstable();
    times.get(times.len() * 99 / 100).copied().unwrap_or_default()
}

impl Drop for Victim {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
    }
}
