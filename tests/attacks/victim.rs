//! A client that only wants its answers, and how long it waits for them, in peace and beside an attack.

use crate::{placement, target::Target};
use harness::{
    http::client::{Client, get},
    scale, wait,
};
use parking_lot::Mutex;
use std::{
    panic,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// Two hundred requests a second.
const PACE: Duration = Duration::from_millis(5);

/// Asks all the time, on one connection, until it is stopped.
pub(crate) struct Victim {
    attack: &'static str,
    /// Of every answer so far.
    times: Arc<Mutex<Vec<Duration>>>,
    /// So many of them were in peace.
    in_peace: usize,
    /// So many were over when the attack stood.
    before: usize,
    stop: Arc<AtomicBool>,
    asking: Option<JoinHandle<()>>,
}

impl Victim {
    /// Returns when it has had enough answers in peace, and `attack` may begin. Its endpoint is no attacker's.
    pub(crate) fn start(attack: &'static str, target: &Target) -> Self {
        Self::asking_for("/victim", attack, target)
    }

    /// The same, with a connection to the endpoint for each request.
    pub(crate) fn start_anew(attack: &'static str, target: &Target) -> Self {
        Self::asking_for("/anew", attack, target)
    }

    fn asking_for(path: &'static str, attack: &'static str, target: &Target) -> Self {
        let times = Arc::<Mutex<Vec<Duration>>>::default();
        let stop = Arc::<AtomicBool>::default();
        let gateway = target.address;
        let ask = {
            let (stop, times) = (Arc::clone(&stop), Arc::clone(&times));
            move || {
                let mut client = Client::connect(gateway);
                // A channel nobody sends to: its timeout is the pause between two requests.
                let (_sender, pause) = mpsc::channel::<()>();
                while !stop.load(Ordering::SeqCst) {
                    let _waited = pause.recv_timeout(PACE);
                    let asked = Instant::now();
                    let answer = client.exchange(get("victim", path));
                    assert_eq!((answer.status(), answer.text()), (200, "here"));
                    times.lock().push(asked.elapsed());
                }
            }
        };
        let asking = placement::before_others(|| thread::spawn(ask));
        let mut victim = Self { attack, times, in_peace: 0, before: 0, stop, asking: Some(asking) };
        victim.until_answered(scale::of(100, 1000));
        victim.in_peace = victim.answers();
        victim.before = victim.in_peace;
        victim
    }

    /// The attack has been set up: what comes from now on is beside it.
    pub(crate) fn the_attack_stands(&mut self) {
        self.before = self.answers();
    }

    /// Goes on with `attack` until there are enough answers beside it; once, on every change.
    pub(crate) fn beside(&mut self, mut attack: impl FnMut()) {
        self.the_attack_stands();
        loop {
            attack();
            if !scale::is_full() || self.answers() >= self.before + enough() {
                return;
            }
        }
    }

    /// Returns when it has had some more answers.
    pub(crate) fn some_more(&self) {
        self.until_answered(self.answers() + 20);
    }

    /// # Panics
    /// When one of its answers was not what it wanted.
    pub(crate) fn stop(mut self) {
        self.until_answered(self.before + enough());
        self.stop.store(true, Ordering::SeqCst);
        if let Some(asking) = self.asking.take()
            && let Err(panicked) = asking.join()
        {
            panic::resume_unwind(panicked);
        }
        let times = self.times.lock();
        let (earlier, beside) = times.split_at(self.before);
        let (peace, setting_up) = earlier.split_at(self.in_peace);
        let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
        let [peace, beside_p99] = [peace, beside].map(|times| milliseconds(part(times, 99, 100)));
        // Figures to look at: a machine that others use too may say anything. The bars make a table of the lines.
        println!(
            "| {} | {:.2} ({} answers) | {peace:.2} | {beside_p99:.2} | {:.1} | {:.2} | {} | 0 |",
            self.attack,
            milliseconds(part(setting_up, 1, 1)),
            setting_up.len(),
            beside_p99 / peace,
            milliseconds(part(beside, 1, 2)),
            beside.len(),
        );
    }

    fn answers(&self) -> usize {
        self.times.lock().len()
    }

    fn until_answered(&self, wanted: usize) {
        wait::until("the victim's answers", Duration::from_secs(120), || {
            let has_failed = self.asking.as_ref().is_some_and(JoinHandle::is_finished);
            (has_failed || self.answers() >= wanted).then_some(())
        });
    }
}

/// Answers beside an attack.
fn enough() -> usize {
    scale::of(20, 1000)
}

/// The time that `part` of `whole` of `times` do not exceed.
fn part(times: &[Duration], part: usize, whole: usize) -> Duration {
    let mut times = times.to_vec();
    times.sort_unstable();
    let last = times.len().saturating_sub(1);
    times.get((times.len() * part / whole).min(last)).copied().unwrap_or_default()
}

impl Drop for Victim {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
    }
}
