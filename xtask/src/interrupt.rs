//! Ctrl-C as a value: the verbs stop where they are and their guards clean up, instead of the process dying.

use anyhow::Context;
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
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
    raised: Arc<AtomicBool>,
    arrivals: mpsc::Receiver<()>,
}

impl Interrupt {
    /// From here on the three signals no longer end the process.
    pub(crate) fn install() -> anyhow::Result<Self> {
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).context("install the signal handlers")?;
        let raised = Arc::new(AtomicBool::new(false));
        let (sender, arrivals) = mpsc::channel();
        let flag = Arc::clone(&raised);
        thread::spawn(move || {
            for _ in signals.forever() {
                flag.store(true, Ordering::SeqCst);
                if sender.send(()).is_err() {
                    break;
                }
            }
        });
        Ok(Self { raised, arrivals })
    }

    /// Errs once a signal has arrived.
    pub(crate) fn check(&self) -> Result<(), Interrupted> {
        if self.raised.load(Ordering::SeqCst) { Err(Interrupted) } else { Ok(()) }
    }

    /// Waits for `pause`, or less when a signal arrives.
    pub(crate) fn pause(&self, pause: Duration) -> Result<(), Interrupted> {
        self.check()?;
        match self.arrivals.recv_timeout(pause) {
            Err(mpsc::RecvTimeoutError::Timeout) => Ok(()),
            Ok(()) | Err(mpsc::RecvTimeoutError::Disconnected) => Err(Interrupted),
        }
    }

    /// Waits for a signal.
    pub(crate) fn wait(&self) {
        while self.pause(Duration::from_secs(3600)).is_ok() {}
    }
}
