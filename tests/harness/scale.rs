//! How much of everything: little on every change, all of it with NODE_GATEWAY_SCALE=full.

use std::env;

/// The number for this run.
pub fn of(short: usize, full: usize) -> usize {
    if is_full() { full } else { short }
}

/// Whether this is a run at full size.
pub fn is_full() -> bool {
    env::var_os("NODE_GATEWAY_SCALE").is_some_and(|value| value == "full")
}
