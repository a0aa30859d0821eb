//! What the daemon tells the programs while they run.

use bytemuck::{Pod, Zeroable};

/// The only entry of `gw_settings`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Settings {
    /// When the daemon was last alive, by the monotonic clock in nanoseconds.
    pub heartbeat_ns: u64,
    /// How old the heartbeat may be before every message is left to TCP.
    pub stale_after_ns: u64,
    /// The off switch: 0 is off, so that a map nobody wrote to moves nothing.
    pub enabled: u32,
    /// Not 0 after a mismatch: off until a daemon starts anew. One of the constants below.
    pub tripped: u32,
}

const _: () = assert!(size_of::<Settings>() == 24);

impl Settings {
    /// What the guard reads of a socket is not that socket's.
    pub const TRIPPED_BLIND: u32 = 1;
    /// A queue held more than [`QUEUE_NEVER`](crate::QUEUE_NEVER), which the guard would not have let in.
    pub const TRIPPED_QUEUE: u32 = 2;
}

/// Where the guard finds what it reads, in bytes from the start of the kernel's `struct tcp_sock`. The daemon resolves them
/// from the running kernel's BTF and gives them to the object before it is loaded.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Offsets {
    /// `sock_common.skc_cookie`
    pub cookie: u32,
    /// `tcp_sock.snd_una`: the oldest byte that the peer has not acknowledged.
    pub snd_una: u32,
    /// `tcp_sock.write_seq`: the next byte the application will send.
    pub write_seq: u32,
    /// `tcp_sock.rcv_nxt`: the next byte expected from the peer.
    pub rcv_nxt: u32,
    /// `tcp_sock.copied_seq`: the next byte the application will read.
    pub copied_seq: u32,
    /// `sock.sk_backlog.rmem_alloc`: bytes of memory queued for the application.
    pub rmem_alloc: u32,
    /// The byte that holds the bit `sock.sk_kern_sock`, and the bit in it: the socket was made by the kernel, as those
    /// within an MPTCP connection are, and those accepted there when the caller speaks plain TCP.
    pub kern_sock: u32,
    pub kern_sock_mask: u32,
    /// `sock.sk_socket`, from there `socket.file`, and from there `file.f_flags`.
    pub socket: u32,
    pub file: u32,
    pub file_flags: u32,
}

const _: () = assert!(size_of::<Offsets>() == 44);
