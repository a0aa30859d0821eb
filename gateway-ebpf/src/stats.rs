//! What the programs count.

use bytemuck::{Pod, Zeroable};

/// Counters of one CPU and one [`Direction`](crate::Direction) since the map was made; the totals are the sums over the
/// CPUs.
///
/// One struct instead of an array of numbers: `bpftool map dump` then shows each counter by its name. A message is what
/// one system call hands to the kernel, or a part of it when it is large.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Stats {
    /// Messages put into the peer's queue past TCP.
    pub redirected_messages: u64,
    pub redirected_bytes: u64,
    /// Messages left to TCP, whatever the reason.
    pub passed_messages: u64,
    pub passed_bytes: u64,
    /// Passed: the other end is not proven, or is none of ours.
    pub passed_no_peer: u64,
    /// Passed: the peer has bytes of TCP's to read first, or they are still on their way.
    pub passed_unread: u64,
    /// Passed: bytes of this direction have gone through TCP before, and somebody else's code reads them.
    pub passed_sticky: u64,
    /// Passed: the peer's reads block, which they must not (see [`Events::refused_blocking`]).
    pub passed_blocking: u64,
    /// Passed: the peer's queue holds as much as it may.
    pub passed_over_budget: u64,
    /// Passed: the pair is paused, by an annotation or by the daemon.
    pub passed_paused: u64,
    /// Passed: the off switch.
    pub passed_off: u64,
    /// Passed: the daemon shows no sign of life.
    pub passed_stale: u64,
    /// Passed: one of the two sockets is closing or gone.
    pub passed_closing: u64,
}

const _: () = assert!(size_of::<Stats>() == 104);

impl Stats {
    /// The sum of two CPUs.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            redirected_messages: self.redirected_messages.wrapping_add(other.redirected_messages),
            redirected_bytes: self.redirected_bytes.wrapping_add(other.redirected_bytes),
            passed_messages: self.passed_messages.wrapping_add(other.passed_messages),
            passed_bytes: self.passed_bytes.wrapping_add(other.passed_bytes),
            passed_no_peer: self.passed_no_peer.wrapping_add(other.passed_no_peer),
            passed_unread: self.passed_unread.wrapping_add(other.passed_unread),
            passed_sticky: self.passed_sticky.wrapping_add(other.passed_sticky),
            passed_blocking: self.passed_blocking.wrapping_add(other.passed_blocking),
            passed_over_budget: self.passed_over_budget.wrapping_add(other.passed_over_budget),
            passed_paused: self.passed_paused.wrapping_add(other.passed_paused),
            passed_off: self.passed_off.wrapping_add(other.passed_off),
            passed_stale: self.passed_stale.wrapping_add(other.passed_stale),
            passed_closing: self.passed_closing.wrapping_add(other.passed_closing),
        }
    }
}

/// What became of connections, one CPU's count.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Events {
    /// TCP connections opened from within the cgroup.
    pub active_established: u64,
    /// TCP connections accepted within the cgroup.
    pub passive_established: u64,
    /// Connections whose two ends were proven to be each other's.
    pub paired: u64,
    /// Refused: an end speaks MPTCP.
    pub refused_mptcp: u64,
    /// Refused: the caller's socket blocks. A blocking recv(2) on a socket in a map fails with EAGAIN when it is woken for
    /// any other reason than data, such as room in the send buffer (`tcp_bpf_recvmsg` waits only once).
    pub refused_blocking: u64,
    /// Refused: another socket map holds the socket already (EBUSY).
    pub refused_foreign: u64,
    /// Refused: one of our maps is full.
    pub refused_full: u64,
    /// Refused: the address of an end has opted out.
    pub refused_opt_out: u64,
    /// Refused for any other answer of the kernel.
    pub refused_other: u64,
    /// Taken in, and let go: the other end was not found, and is on another node.
    pub unproven: u64,
}

const _: () = assert!(size_of::<Events>() == 80);

impl Events {
    /// The sum of two CPUs.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            active_established: self.active_established.wrapping_add(other.active_established),
            passive_established: self.passive_established.wrapping_add(other.passive_established),
            paired: self.paired.wrapping_add(other.paired),
            refused_mptcp: self.refused_mptcp.wrapping_add(other.refused_mptcp),
            refused_blocking: self.refused_blocking.wrapping_add(other.refused_blocking),
            refused_foreign: self.refused_foreign.wrapping_add(other.refused_foreign),
            refused_full: self.refused_full.wrapping_add(other.refused_full),
            refused_opt_out: self.refused_opt_out.wrapping_add(other.refused_opt_out),
            refused_other: self.refused_other.wrapping_add(other.refused_other),
            unproven: self.unproven.wrapping_add(other.unproven),
        }
    }
}
