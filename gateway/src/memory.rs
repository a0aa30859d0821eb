//! The allocator, and its spare memory; and how much there may be, in [`cgroup`].
//!
//! A burst, such as the first list of everything, needs several times the memory of what stays of it. While it lasts,
//! freed pages go back to the kernel at once; otherwise the allocator keeps them a while for the traffic to use again.
#![expect(unsafe_code, reason = "mimalloc offers this only as C functions")]

pub mod cgroup;

use mimalloc::MiMalloc;
use std::{
    alloc::{GlobalAlloc, Layout},
    ffi::{c_int, c_long},
};

/// mimalloc, asked for an alignment only where it does not give that by itself: a request for one costs several times as
/// much, and larger blocks are then taken from the next size up. It gives memory back after a burst and does not fragment
/// over weeks, which glibc's allocator does with many threads.
#[derive(Clone, Copy, Debug)]
pub struct Allocator;

/// `MI_MAX_ALIGN_SIZE` of mimalloc's types.h: what every block has that is at least as large.
const OWN_ALIGNMENT: usize = 16;

fn is_aligned_anyway(size: usize, alignment: usize) -> bool {
    alignment <= OWN_ALIGNMENT && alignment <= size
}

// SAFETY: everything is mimalloc's own, called with what we were called with; blocks of all its functions are one kind.
unsafe impl GlobalAlloc for Allocator {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if is_aligned_anyway(layout.size(), layout.align()) {
            // SAFETY: any size is allowed, and the block is aligned as said above.
            return unsafe { libmimalloc_sys::mi_malloc(layout.size()) }.cast();
        }
        // SAFETY: the caller keeps the contract of `alloc`, which is the same.
        unsafe { MiMalloc.alloc(layout) }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if is_aligned_anyway(layout.size(), layout.align()) {
            // SAFETY: as in `alloc`.
            return unsafe { libmimalloc_sys::mi_zalloc(layout.size()) }.cast();
        }
        // SAFETY: the caller keeps the contract of `alloc_zeroed`, which is the same.
        unsafe { MiMalloc.alloc_zeroed(layout) }
    }

    #[inline]
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller gives back what one of these functions has made.
        unsafe { MiMalloc.dealloc(pointer, layout) }
    }

    #[inline]
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if is_aligned_anyway(size, layout.align()) && is_aligned_anyway(layout.size(), layout.align()) {
            // SAFETY: the caller gives what one of these functions has made; wherever it goes, it is aligned as said above.
            return unsafe { libmimalloc_sys::mi_realloc(pointer.cast(), size) }.cast();
        }
        // SAFETY: the caller keeps the contract of `realloc`, which is the same.
        unsafe { MiMalloc.realloc(pointer, layout, size) }
    }
}

/// `mi_option_purge_delay` of mimalloc.h, which the bindings leave out: milliseconds until freed memory is given back.
const PURGE_DELAY: c_int = 15;

/// Longer than a batch of requests takes: at 512 connections, mimalloc 2's default of 10 ms gave back between two batches
/// what the next one wanted again, which was a page fault a request. It is the default of mimalloc 3.
const DEFAULT_PURGE_DELAY_MS: c_long = 1000;

/// Lets freed memory go back to the kernel at once, until [`burst_ended`].
pub fn burst_began() {
    // SAFETY: the option exists since mimalloc 2.1; setting it is one atomic store, from any thread at any time.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, 0) };
}

/// Gives back what this thread has freed. Costs milliseconds.
pub fn give_back() {
    // SAFETY: `mi_collect` takes no pointer and only touches memory that mimalloc holds and nobody uses.
    unsafe { libmimalloc_sys::mi_collect(true) };
}

/// Gives back what is left of a burst, and keeps freed memory for reuse from now on. Costs milliseconds.
pub fn burst_ended() {
    give_back();
    // SAFETY: as in `burst_began`.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, DEFAULT_PURGE_DELAY_MS) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_aligned() {
        for alignment in [1, 2, 4, 8, 16, 32, 64, 128, 4096] {
            for size in (1..200).chain([1000, 1024, 1025, 1352, 8192, 8200, 70_000, 3_000_000]) {
                let layout = Layout::from_size_align(size, alignment).expect("a layout");
                // SAFETY: the size is not 0.
                let made = unsafe { Allocator.alloc(layout) };
                assert!(!made.is_null());
                // SAFETY: it has just been made with this layout, and the new size is not 0.
                let larger = unsafe { Allocator.realloc(made, layout, size * 2 + 3) };
                let layout = Layout::from_size_align(size * 2 + 3, alignment).expect("a layout");
                // SAFETY: the size is not 0.
                let zeroed = unsafe { Allocator.alloc_zeroed(layout) };
                for pointer in [made, larger, zeroed] {
                    assert_eq!(pointer.addr() % alignment, 0, "{size} bytes");
                }
                for pointer in [larger, zeroed] {
                    // SAFETY: both have been made with this layout, and are given back once.
                    unsafe { Allocator.dealloc(pointer, layout) };
                }
            }
        }
    }
}
