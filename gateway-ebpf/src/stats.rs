//! What the programs count.

use bytemuck::{Pod, Zeroable};

/// Counters of one CPU since the object was loaded; the totals are the sums over the CPUs.
///
/// One struct instead of an array of numbers: `bpftool map dump` then shows each counter by its name.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Stats {
    /// TCP connections opened from within the cgroup.
    pub active_established: u64,
    /// TCP connections accepted within the cgroup.
    pub passive_established: u64,
    /// Messages that `gw_msg` passed on to TCP.
    pub messages_passed: u64,
}

const _: () = assert!(size_of::<Stats>() == 24);

impl Stats {
    /// The sum of two CPUs.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            active_established: self.active_established.wrapping_add(other.active_established),
            passive_established: self.passive_established.wrapping_add(other.passive_established),
            messages_passed: self.messages_passed.wrapping_add(other.messages_passed),
        }
    }
}
