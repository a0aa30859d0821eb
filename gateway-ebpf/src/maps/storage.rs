//! Storage that lives and dies with a socket; aya's insists on one kind of program and on its own flags.

use aya_ebpf::{
    bindings::{BPF_SK_STORAGE_GET_F_CREATE, bpf_map_type::BPF_MAP_TYPE_SK_STORAGE, bpf_sock},
    helpers::bpf_sk_storage_get,
};
use core::ptr;

/// The definition the loader reads from BTF; nothing of it is ever dereferenced.
#[repr(C)]
pub(crate) struct Storage<T, const FLAGS: usize> {
    r#type: *const [i32; BPF_MAP_TYPE_SK_STORAGE as usize],
    key: *const i32,
    value: *const T,
    max_entries: *const [i32; 0],
    map_flags: *const [i32; FLAGS],
}

// SAFETY: the pointers are placeholders that carry a type; the kernel's map synchronises itself.
#[expect(unsafe_code, reason = "a static must be Sync")]
unsafe impl<T, const FLAGS: usize> Sync for Storage<T, FLAGS> {}

impl<T, const FLAGS: usize> Storage<T, FLAGS> {
    pub(crate) const fn new() -> Self {
        Self {
            r#type: ptr::null(),
            key: ptr::null(),
            value: ptr::null(),
            max_entries: ptr::null(),
            map_flags: ptr::null(),
        }
    }

    /// What is stored with `socket`, which must not be null.
    #[inline(always)]
    pub(crate) fn get(&self, socket: *mut bpf_sock) -> Option<&T> {
        let map = ptr::from_ref(self).cast_mut().cast();
        // SAFETY: the verifier proves that the socket is one.
        #[expect(unsafe_code, reason = "helpers are called through pointers")]
        let value: *const T = unsafe { bpf_sk_storage_get(map, socket.cast(), ptr::null_mut(), 0) }.cast();
        // SAFETY: null, or the storage of a socket that outlives this run of the program.
        #[expect(unsafe_code, reason = "storage is reached through pointers")]
        unsafe {
            value.as_ref()
        }
    }

    /// Stores `value` with `socket` unless something is stored already; `false` when there is no memory for it.
    #[inline(always)]
    pub(crate) fn create(&self, socket: *mut bpf_sock, mut value: T) -> bool {
        // Every load of a socket from the context may be null to the verifier, so it is asked for here once more.
        if socket.is_null() {
            return false;
        }
        let map = ptr::from_ref(self).cast_mut().cast();
        let initial = ptr::from_mut(&mut value).cast();
        // SAFETY: the verifier proves both pointers.
        #[expect(unsafe_code, reason = "helpers are called through pointers")]
        let stored = unsafe { bpf_sk_storage_get(map, socket.cast(), initial, u64::from(BPF_SK_STORAGE_GET_F_CREATE)) };
        !stored.is_null()
    }
}
