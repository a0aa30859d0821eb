//! `gw_msg`: runs on every message a socket of a socket map sends.

use crate::maps::gw_stats;
use aya_ebpf::{bindings::sk_action::SK_PASS, macros::sk_msg, programs::SkMsgContext};
use gateway_ebpf::ONLY;

/// Passes every message to TCP and counts it. No path of this program may drop a message: the sender would see EACCES.
#[sk_msg]
pub(crate) fn gw_msg(_ctx: SkMsgContext) -> u32 {
    if let Some(stats) = gw_stats.get_ptr_mut(ONLY) {
        // SAFETY: the pointer is this CPU's slot of a per-CPU array, which lives as long as the program.
        #[expect(unsafe_code, reason = "map values are reached through pointers")]
        unsafe {
            (*stats).messages_passed += 1;
        }
    }
    SK_PASS
}
