//! A socket hash whose values are cookies, which userspace can read; aya's has values of 4 bytes, which it cannot.

use aya_ebpf::{
    bindings::{BPF_F_INGRESS, BPF_NOEXIST, bpf_map_type::BPF_MAP_TYPE_SOCKHASH, sk_action::SK_PASS},
    helpers::{bpf_map_delete_elem, bpf_msg_redirect_hash, bpf_sock_hash_update},
    programs::{SkMsgContext, SockOpsContext},
};
use core::ptr;

/// The definition the loader reads from BTF; nothing of it is ever dereferenced.
#[repr(C)]
pub(crate) struct Sockets<const MAX_ENTRIES: usize> {
    r#type: *const [i32; BPF_MAP_TYPE_SOCKHASH as usize],
    key: *const u64,
    value: *const u64,
    max_entries: *const [i32; MAX_ENTRIES],
    map_flags: *const [i32; 0],
}

// SAFETY: the pointers are placeholders that carry a type; the kernel's map synchronises itself.
#[expect(unsafe_code, reason = "a static must be Sync")]
unsafe impl<const MAX_ENTRIES: usize> Sync for Sockets<MAX_ENTRIES> {}

impl<const MAX_ENTRIES: usize> Sockets<MAX_ENTRIES> {
    pub(crate) const fn new() -> Self {
        Self {
            r#type: ptr::null(),
            key: ptr::null(),
            value: ptr::null(),
            max_entries: ptr::null(),
            map_flags: ptr::null(),
        }
    }

    /// Adds the socket of `ctx`; possible only while it is being established.
    ///
    /// # Errors
    /// The kernel's: EBUSY when another map holds it, E2BIG when this one is full.
    #[inline(always)]
    pub(crate) fn insert(&self, ctx: &SockOpsContext, mut cookie: u64) -> Result<(), i64> {
        let (map, key) = (ptr::from_ref(self).cast_mut().cast(), ptr::from_mut(&mut cookie).cast());
        // SAFETY: the verifier proves all three pointers.
        #[expect(unsafe_code, reason = "helpers are called through pointers")]
        let answer = unsafe { bpf_sock_hash_update(ctx.ops, map, key, u64::from(BPF_NOEXIST)) };
        if answer == 0 { Ok(()) } else { Err(answer) }
    }

    /// Takes a socket out. What is in its queue past TCP is lost, so there must be nothing.
    #[inline(always)]
    pub(crate) fn remove(&self, mut cookie: u64) {
        let (map, key) = (ptr::from_ref(self).cast_mut().cast(), ptr::from_mut(&mut cookie).cast());
        // SAFETY: as above.
        #[expect(unsafe_code, reason = "helpers are called through pointers")]
        let _gone = unsafe { bpf_map_delete_elem(map, key) };
    }

    /// Has the message of `ctx` go into the queue of the socket `cookie`. `false` when there is no such socket: then
    /// nothing has changed and the message goes on to TCP.
    #[inline(always)]
    pub(crate) fn redirect(&self, ctx: &SkMsgContext, mut cookie: u64) -> bool {
        let (map, key) = (ptr::from_ref(self).cast_mut().cast(), ptr::from_mut(&mut cookie).cast());
        // SAFETY: as above.
        #[expect(unsafe_code, reason = "helpers are called through pointers")]
        let answer = unsafe { bpf_msg_redirect_hash(ctx.msg, map, key, u64::from(BPF_F_INGRESS)) };
        answer == i64::from(SK_PASS)
    }
}
