//! The clock of the programs.

use aya_ebpf::helpers::bpf_ktime_get_coarse_ns;

/// Nanoseconds of the monotonic clock, a few milliseconds behind at most.
#[inline(always)]
pub(crate) fn now() -> u64 {
    // SAFETY: the helper takes nothing and returns a number.
    #[expect(unsafe_code, reason = "helpers are unsafe to call")]
    unsafe {
        bpf_ktime_get_coarse_ns()
    }
}
