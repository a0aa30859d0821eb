//! What may be known about the two sockets of a pair while a message waits: read from the kernel's own structs.

use aya_ebpf::helpers::bpf_probe_read_kernel;
use core::ptr::{addr_of, read_volatile};
use gateway_ebpf::{Offsets, Pair};

/// Written by the daemon before the object is loaded.
#[unsafe(no_mangle)]
#[expect(unsafe_code, reason = "the daemon finds it by the name of its symbol")]
static gw_offsets: Offsets = Offsets {
    cookie: 0,
    snd_una: 0,
    write_seq: 0,
    rcv_nxt: 0,
    copied_seq: 0,
    rmem_alloc: 0,
    kern_sock: 0,
    kern_sock_mask: 0,
    socket: 0,
    file: 0,
    file_flags: 0,
};

/// The receiving socket of a pair at one moment.
pub(crate) struct Peer {
    /// Bytes of memory queued for its application.
    pub(crate) queued: u32,
    /// Everything that came by TCP has been read.
    pub(crate) has_read_all: bool,
}

impl Peer {
    /// `None` when the socket has gone. Its address may be another socket's by now, which the cookie tells; the memory
    /// stays a socket's (the slab is typesafe by RCU), so reading it is safe.
    #[inline(always)]
    pub(crate) fn of(pair: &Pair) -> Option<Self> {
        let offsets = offsets();
        if read::<u64>(pair.peer_socket, offsets.cookie)? != pair.peer {
            return None;
        }
        let has_read_all =
            read::<u32>(pair.peer_socket, offsets.copied_seq)? == read::<u32>(pair.peer_socket, offsets.rcv_nxt)?;
        Some(Self { queued: read(pair.peer_socket, offsets.rmem_alloc)?, has_read_all })
    }
}

/// Whether the sending socket, whose cookie this is, can be seen where its pair says it is.
#[inline(always)]
pub(crate) fn sees_sender(pair: &Pair, cookie: u64) -> bool {
    read::<u64>(pair.socket, offsets().cookie) == Some(cookie)
}

/// Whether nothing the socket of `pair` sent has ever gone through TCP.
#[inline(always)]
pub(crate) fn has_never_used_tcp(pair: &Pair) -> bool {
    read::<u32>(pair.socket, offsets().write_seq).is_some_and(|next| next == pair.first_sequence)
}

/// Whether the program that owns the socket at this address reads it without `O_NONBLOCK`. `None` while nobody owns it: it
/// has not been accepted yet, or closed already.
#[inline(always)]
pub(crate) fn is_blocking(address: u64) -> Option<bool> {
    /// asm-generic/fcntl.h; the same on every architecture we build for.
    const O_NONBLOCK: u32 = 0o4000;
    let offsets = offsets();
    let socket = read::<u64>(address, offsets.socket).filter(|socket| *socket != 0)?;
    let file = read::<u64>(socket, offsets.file).filter(|file| *file != 0)?;
    Some(read::<u32>(file, offsets.file_flags)? & O_NONBLOCK == 0)
}

/// Whether everything the socket of `pair` ever gave to TCP has arrived in the peer's queue.
#[inline(always)]
pub(crate) fn has_delivered_all(pair: &Pair) -> bool {
    let offsets = offsets();
    match (read::<u32>(pair.socket, offsets.snd_una), read::<u32>(pair.socket, offsets.write_seq)) {
        (Some(acknowledged), Some(written)) => acknowledged == written,
        _ => false,
    }
}

/// Whether the socket at this address was made by the kernel itself; in doubt it was.
#[inline(always)]
pub(crate) fn is_kernel_socket(address: u64) -> bool {
    let offsets = offsets();
    read::<u8>(address, offsets.kern_sock).is_none_or(|byte| u32::from(byte) & offsets.kern_sock_mask != 0)
}

#[inline(always)]
fn offsets() -> Offsets {
    // SAFETY: a static; volatile because the loader writes it behind the compiler's back.
    #[expect(unsafe_code, reason = "volatile reads go through pointers")]
    unsafe {
        read_volatile(addr_of!(gw_offsets))
    }
}

#[inline(always)]
fn read<T>(base: u64, offset: u32) -> Option<T> {
    // SAFETY: the helper checks the address itself and fails where nothing can be read.
    #[expect(unsafe_code, reason = "helpers are called through pointers")]
    let value = unsafe { bpf_probe_read_kernel((base + u64::from(offset)) as *const T) };
    value.ok()
}
