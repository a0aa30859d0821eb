//! A client that only wants its answers, and how long it waits for them, in peace and beside an attack.

use crate::{placement, target::Target};
use harness::{
    http::client::{Client, get},
    scale, wait,
};
use parking_lot::Mutex;
use std::{
    panic,
    path::PathBuf,
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

/// What an attack may make of the own p99, and how many milliseconds more it may always be: a p99 of a thousand answers is
/// what ten of them took, and in peace that is a third of a millisecond, so that a single interrupt more doubles it.
const MOST_RATIO: f64 = 2.;
const SLACK: f64 = 1.;

/// What an answer took.
#[derive(Clone, Copy)]
struct Took {
    all: Duration,
    /// Without the time in which the gateway, the victim or its endpoint could have gone on and had no CPU, which other
    /// programs had: attackers have none of the gateway's, where figures are wanted.
    on_cpu: Duration,
}

/// Asks all the time, on one connection, until it is stopped.
pub(crate) struct Victim {
    attack: &'static str,
    /// Of every answer so far.
    times: Arc<Mutex<Vec<Took>>>,
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
        let times = Arc::<Mutex<Vec<Took>>>::default();
        let stop = Arc::<AtomicBool>::default();
        let (gateway, worker, endpoint) = (target.address, target.worker(), target.waits_of_endpoint());
        let ask = {
            let (stop, times) = (Arc::clone(&stop), Arc::clone(&times));
            move || {
                let mut client = Client::connect(gateway);
                // A channel nobody sends to: its timeout is the pause between two requests.
                let (_sender, pause) = mpsc::channel::<()>();
                let own = PathBuf::from("/proc/thread-self/schedstat");
                let waited = || placement::waited(&worker) + placement::waited(&own) + endpoint.sum();
                while !stop.load(Ordering::SeqCst) {
                    let _waited = pause.recv_timeout(PACE);
                    let before = waited();
                    let asked = Instant::now();
                    let answer = client.exchange(get("victim", path));
                    assert_eq!((answer.status(), answer.text()), (200, "here"));
                    let all = asked.elapsed();
                    let on_cpu = all.saturating_sub(waited().saturating_sub(before));
                    times.lock().push(Took { all, on_cpu });
                }
            }
        };
        let asking = placement::before_the_gateway(|| thread::spawn(ask));
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
        let p99 = |which: fn(&Took) -> Duration| (part(peace, 99, which), part(beside, 99, which));
        let ((peace, attacked), (own_peace, own_attacked)) = (p99(|took| took.all), p99(|took| took.on_cpu));
        // The bars make a table of the lines.
        println!(
            "| {} | {:.2} ({}) | {peace:.2} | {attacked:.2} | {:.1} | {own_peace:.2} | {own_attacked:.2} | {:.1} | {:.2} | {} | 0 |",
            self.attack,
            part(setting_up, 100, |took| took.on_cpu),
            setting_up.len(),
            attacked / peace,
            own_attacked / own_peace,
            part(beside, 50, |took| took.on_cpu),
            beside.len(),
        );
        // Else these are figures to look at: where everybody runs on the same CPUs, they may say anything.
        if placement::is_apart() {
            let most = (own_peace * MOST_RATIO).max(own_peace + SLACK);
            assert!(
                own_attacked <= most,
                "{}: own p99 {own_attacked:.2} ms beside, {own_peace:.2} in peace",
                self.attack
            );
        }
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

/// Milliseconds that `percent` of `times` do not exceed.
fn part(times: &[Took], percent: usize, which: fn(&Took) -> Duration) -> f64 {
    let mut times: Vec<Duration> = times.iter().map(which).collect();
    times.sort_unstable();
    let last = times.len().saturating_sub(1);
    times.get((times.len() * percent / 100).min(last)).copied().unwrap_or_default().as_secs_f64() * 1e3
}

impl Drop for Victim {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
    }
}
