//! `gw_sockops`: runs on the state changes of every TCP socket of the cgroup it is attached to.

use crate::maps::gw_stats;
use aya_ebpf::{
    bindings::{BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB, BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB},
    macros::sock_ops,
    programs::SockOpsContext,
};
use gateway_ebpf::ONLY;

/// Counts established sockets. The return value 1 lets the kernel go on as if no program were there.
#[sock_ops]
pub(crate) fn gw_sockops(ctx: SockOpsContext) -> u32 {
    if let Some(stats) = gw_stats.get_ptr_mut(ONLY) {
        match ctx.op() {
            // SAFETY: the pointer is this CPU's slot of a per-CPU array, which lives as long as the program.
            #[expect(unsafe_code, reason = "map values are reached through pointers")]
            BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB => unsafe { (*stats).active_established += 1 },
            // SAFETY: as above.
            #[expect(unsafe_code, reason = "map values are reached through pointers")]
            BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB => unsafe { (*stats).passive_established += 1 },
            _ => {}
        }
    }
    1
}
