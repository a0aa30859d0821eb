//! Ctrl-C as a value: the verbs stop where they are and their guards clean up, instead of the process dying.

use anyhow::Context;
use parking_lot::{Condvar, Mutex};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};
use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

/// The user, or whoever runs us, wants us to stop.
#[derive(Debug)]
pub(crate) struct Interrupted;

impl std::fmt::Display for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("interrupted")
    }
}

impl std::error::Error for Interrupted {}

/// Remembers whether SIGINT, SIGTERM or SIGHUP has arrived.
pub(crate) struct Interrupt {
    raised: Arc<Raised>,
}

#[derive(Default)]
struct Raised {
    is_raised: Mutex<bool>,
    arrival: Condvar,
}

impl Interrupt {
    /// From here on the three signals no longer end the process.
    pub(crate) fn install() -> anyhow::Result<Self> {
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).context("install the signal handlers")?;
        let raised = Arc::new(Raised::default());
        let told = Arc::clone(&raised);
        thread::spawn(move || {
            for _ in signals.forever() {
                *told.is_raised.lock() = true;
                told.arrival.notify_all();
            }
        });
        Ok(Self { raised })
    }

    /// Errs once a signal has arrived.
    pub(crate) fn check(&self) -> Result<(), Interrupted> {
        if *self.raised.is_raised.lock() { Err(Interrupted) } else { Ok(()) }
    }

    /// Waits for `pause`, or less when a signal arrives.
    pub(crate) fn pause(&self, pause: Duration) -> Result<(), Interrupted> {
        let until = Instant::now() + pause;
        let mut is_raised = self.raised.is_raised.lock();
        while !*is_raised && !self.raised.arrival.wait_until(&mut is_raised, until).timed_out() {}
        if *is_raised { Err(Interrupted) } else { Ok(()) }
    }

    /// Waits for a signal.
    pub(crate) fn wait(&self) {
        while self.pause(Duration::from_secs(3600)).is_ok() {}
    }
}
