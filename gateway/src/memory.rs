//! The allocator's spare memory.
//!
//! A burst, such as the first list of everything, needs several times the memory of what stays of it. While it lasts,
//! freed pages go back to the kernel at once; otherwise the allocator keeps them a while for the traffic to use again.
#![expect(unsafe_code, reason = "mimalloc offers this only as C functions")]

use std::ffi::{c_int, c_long};

/// `mi_option_purge_delay` of mimalloc.h, which the bindings leave out: milliseconds until freed memory is given back.
const PURGE_DELAY: c_int = 15;

/// mimalloc's default.
const DEFAULT_PURGE_DELAY_MS: c_long = 10;

/// Lets freed memory go back to the kernel at once, until [`burst_ended`].
pub fn burst_began() {
    // SAFETY: the option exists since mimalloc 2.1; setting it is one atomic store, from any thread at any time.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, 0) };
}

/// Gives back what is left of a burst, and keeps freed memory for reuse from now on. Costs milliseconds.
pub fn burst_ended() {
    // SAFETY: `mi_collect` takes no pointer and only touches memory that mimalloc holds and nobody uses.
    unsafe { libmimalloc_sys::mi_collect(true) };
    // SAFETY: as in `burst_began`.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, DEFAULT_PURGE_DELAY_MS) };
}
