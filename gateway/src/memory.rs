//! The allocator's spare memory.

/// Returns to the kernel what the allocator of the daemon keeps of freed memory. Costs milliseconds: for after a burst,
/// such as the first list of everything, which needs several times the memory of what stays of it.
#[expect(unsafe_code, reason = "mimalloc offers this only as a C function")]
pub fn give_back() {
    // SAFETY: `mi_collect` takes no pointer and may be called from any thread at any time; it only touches memory that
    // mimalloc holds and nobody uses.
    unsafe { libmimalloc_sys::mi_collect(true) };
}
