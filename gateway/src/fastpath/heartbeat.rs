//! The sign of life the programs look for: when it stops, every message goes through TCP. With each beat the daemon looks
//! whether they still redirect, and says so when that has changed.

use super::{load::Loaded, privileges, status::off_because};
use std::{
    io,
    sync::{
        Arc,
        mpsc::{self, RecvTimeoutError, Sender},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// How often it is written.
const PERIOD: Duration = Duration::from_millis(500);
/// How old it may become: several beats, so that a busy machine is not taken for a dead daemon.
const STALE_AFTER: Duration = Duration::from_secs(3);
const STACK_BYTES: usize = 128 * 1024;

/// A thread of its own, which no load of the gateway delays. Ends when dropped.
#[derive(Debug)]
pub(super) struct Heartbeat {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Heartbeat {
    /// Beats once, and from then on until dropped.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub(super) fn start(loaded: Arc<Loaded>) -> io::Result<Self> {
        beat(&loaded);
        // Not on yet.
        let mut off = None;
        let (stop, stopped) = mpsc::channel();
        let (gave_up, given_up) = mpsc::channel::<()>();
        let thread = thread::Builder::new().name("fastpath".to_owned()).stack_size(STACK_BYTES).spawn(move || {
            // Writing to a map takes none of them; where it does, none has been given up.
            let _given_up = privileges::give_up();
            drop(gave_up);
            while stopped.recv_timeout(PERIOD) == Err(RecvTimeoutError::Timeout) {
                let now_off = beat(&loaded);
                if now_off != off && !loaded.is_uninstalled() {
                    match now_off {
                        Some(reason) => tracing::warn!("fast path: every byte goes through TCP: {reason}"),
                        None => tracing::info!("fast path: the kernel moves bytes again"),
                    }
                    off = now_off;
                }
            }
        })?;
        // Nothing is served while this thread has not had its turn, and still holds them.
        let _disconnected = given_up.recv();
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the heartbeat of the fast path had panicked");
        }
    }
}

/// One beat. Returns why the programs redirect nothing, if they do not.
pub(super) fn beat(loaded: &Loaded) -> Option<&'static str> {
    let mut maps = loaded.maps();
    let written = maps.settings().and_then(|mut settings| {
        settings.heartbeat_ns = monotonic_ns();
        settings.stale_after_ns = u64::try_from(STALE_AFTER.as_nanos()).unwrap_or(u64::MAX);
        maps.set_settings(settings)?;
        Ok(off_because(&settings, settings.heartbeat_ns))
    });
    written.unwrap_or_else(|error| {
        tracing::debug!(%error, "the fast path's heartbeat cannot be written");
        Some("the heartbeat cannot be written")
    })
}

/// The clock of `bpf_ktime_get_coarse_ns`.
#[expect(unsafe_code, reason = "std's Instant does not tell its number")]
pub(super) fn monotonic_ns() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes the struct it is given.
    let answer = unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    if answer != 0 {
        return 0;
    }
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}
