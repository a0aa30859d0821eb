//! `gw_queue`: runs when the daemon asks, and tells how much the peer of one of its sockets has not read yet.
//!
//! A raw tracepoint that is never attached: the one kind of program that is run with a plain number as its argument.

use crate::{
    guard::{Peer, has_delivered_all},
    maps::gw_pairs,
};
use aya_ebpf::programs::RawTracePointContext;
use core::ffi::c_void;

/// No such pair, the peer has gone, or TCP has taken over and keeps its own books.
const NOTHING: i32 = -1;

/// The argument is a cookie. Returns the bytes of memory queued for the peer's application, or [`NOTHING`].
///
/// Written out because aya's macro throws the result away, as tracepoints have none.
#[unsafe(no_mangle)]
#[unsafe(link_section = "raw_tp")]
#[expect(unsafe_code, reason = "the loader finds programs by section and symbol")]
fn gw_queue(ctx: *mut c_void) -> i32 {
    let cookie: u64 = RawTracePointContext::new(ctx).arg(0);
    let Some(pair) = gw_pairs.get_ptr(cookie) else { return NOTHING };
    // SAFETY: the verifier proves the pointer; what is read here does not change while the pair lives.
    #[expect(unsafe_code, reason = "map values are reached through pointers")]
    let pair = unsafe { &*pair };
    match Peer::of(pair) {
        Some(peer) if peer.has_read_all && has_delivered_all(pair) => i32::try_from(peer.queued).unwrap_or(i32::MAX),
        _ => NOTHING,
    }
}
