//! Waiting for something to become true, with a deadline instead of a sleep.

use std::{
    sync::mpsc,
    time::{Duration, Instant},
};

/// Asks `condition` every 10 ms until it answers with a value; panics with `what` after `limit`.
pub fn until<T>(what: &str, limit: Duration, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    // A channel nobody sends to: its timeout is the pause between two looks.
    let (_sender, pause) = mpsc::channel::<()>();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "{what}: not within {limit:?}");
        let _ = pause.recv_timeout(Duration::from_millis(10));
    }
}
