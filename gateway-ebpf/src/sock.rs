//! A socket as the programs on socket operations see it.

use crate::{guard::is_kernel_socket, maps::gw_own};
use aya_ebpf::{
    bindings::{bpf_sock, bpf_sock_ops},
    helpers::{bpf_get_netns_cookie, bpf_get_socket_cookie, bpf_skc_to_mptcp_sock, bpf_skc_to_tcp_sock},
    programs::SockOpsContext,
};
use core::ptr::{addr_of, read_volatile};
use gateway_ebpf::Place;

const AF_INET6: u32 = 10;
/// The third word, in network order, of an IPv4 address written as an IPv6 one.
const MAPPED: u32 = u32::from_be(0xffff);

/// Reads one field of the context. Volatile, because the verifier allows loads of whole fields only and the compiler
/// would join neighbours.
macro_rules! field {
    ($sock:expr, $($field:tt)+) => {{
        let ops: *mut bpf_sock_ops = $sock.ops;
        // SAFETY: the context lives as long as the program runs.
        #[expect(unsafe_code, reason = "the context is reached through a pointer")]
        let address = unsafe { addr_of!((*ops).$($field)+) };
        // SAFETY: as above.
        #[expect(unsafe_code, reason = "the context is reached through a pointer")]
        let value = unsafe { read_volatile(address) };
        value
    }};
}

/// The socket of one operation.
#[derive(Clone, Copy)]
pub(crate) struct Sock {
    ops: *mut bpf_sock_ops,
}

impl Sock {
    #[inline(always)]
    pub(crate) const fn new(ctx: &SockOpsContext) -> Self {
        Self { ops: ctx.ops }
    }

    #[inline(always)]
    pub(crate) const fn context(self) -> SockOpsContext {
        SockOpsContext::new(self.ops)
    }

    /// Whether it is more than a request to connect.
    #[inline(always)]
    pub(crate) fn is_full(self) -> bool {
        field!(self, is_fullsock) != 0
    }

    /// The socket itself; null when it is not full.
    #[inline(always)]
    pub(crate) fn socket(self) -> *mut bpf_sock {
        field!(self, __bindgen_anon_2.sk)
    }

    /// Whether the gateway has marked it, or the listener it comes from.
    #[inline(always)]
    pub(crate) fn is_own(self) -> bool {
        let socket = self.socket();
        !socket.is_null() && gw_own.get(socket).is_some()
    }

    #[inline(always)]
    pub(crate) fn cookie(self) -> u64 {
        // SAFETY: the context is valid while the program runs.
        #[expect(unsafe_code, reason = "helpers are called through pointers")]
        unsafe {
            bpf_get_socket_cookie(self.ops.cast())
        }
    }

    #[inline(always)]
    pub(crate) fn netns(self) -> u64 {
        // SAFETY: as above.
        #[expect(unsafe_code, reason = "helpers are called through pointers")]
        unsafe {
            bpf_get_netns_cookie(self.ops.cast())
        }
    }

    /// Whether it is, or was when it was accepted, part of an MPTCP connection: those must not be in a socket map.
    #[inline(always)]
    pub(crate) fn speaks_mptcp(self) -> bool {
        let socket = self.socket();
        if socket.is_null() {
            return true;
        }
        // SAFETY: the verifier proves that the socket is one.
        #[expect(unsafe_code, reason = "helpers are called through pointers")]
        let mptcp = unsafe { bpf_skc_to_mptcp_sock(socket.cast()) };
        // A listener that speaks MPTCP hands plain callers a socket of the kernel's, which no longer says that it does.
        !mptcp.is_null() || is_kernel_socket(self.kernel_address())
    }

    /// The kernel's address of its `struct tcp_sock`, for the guard; 0 when it has none.
    #[inline(always)]
    pub(crate) fn kernel_address(self) -> u64 {
        let socket = self.socket();
        if socket.is_null() {
            return 0;
        }
        // SAFETY: the verifier proves that the socket is one.
        #[expect(unsafe_code, reason = "helpers are called through pointers")]
        let tcp = unsafe { bpf_skc_to_tcp_sock(socket.cast()) };
        if tcp.is_null() { 0 } else { tcp as u64 }
    }

    #[inline(always)]
    pub(crate) fn snd_nxt(self) -> u32 {
        field!(self, snd_nxt)
    }

    #[inline(always)]
    pub(crate) fn rcv_nxt(self) -> u32 {
        field!(self, rcv_nxt)
    }

    /// Bytes that the other end's TCP has acknowledged, without the two that a connection's begin and end may count as.
    #[inline(always)]
    pub(crate) fn bytes_carried(self) -> u64 {
        field!(self, bytes_acked).saturating_sub(2)
    }

    #[inline(always)]
    pub(crate) fn local_port(self) -> u32 {
        field!(self, local_port)
    }

    #[inline(always)]
    pub(crate) fn local(self) -> Place {
        let v6 = [
            field!(self, local_ip6[0]),
            field!(self, local_ip6[1]),
            field!(self, local_ip6[2]),
            field!(self, local_ip6[3]),
        ];
        Place { address: self.address(v6, field!(self, local_ip4)), port: self.local_port() }
    }

    #[inline(always)]
    pub(crate) fn remote(self) -> Place {
        let v6 = [
            field!(self, remote_ip6[0]),
            field!(self, remote_ip6[1]),
            field!(self, remote_ip6[2]),
            field!(self, remote_ip6[3]),
        ];
        // Network order in the upper half.
        let port = u32::from_be(field!(self, remote_port));
        Place { address: self.address(v6, field!(self, remote_ip4)), port }
    }

    /// One form for IPv4, however the socket names it: a dual-stack listener's request carries only the IPv4 fields.
    #[inline(always)]
    fn address(self, v6: [u32; 4], v4: u32) -> [u8; 16] {
        let mapped = v6[0] == 0 && v6[1] == 0 && (v6[2] == 0 || v6[2] == MAPPED) && v4 != 0;
        // Whole words, because bytes one by one take more stack than a program has.
        let words = if field!(self, family) == AF_INET6 && !mapped { v6 } else { [0, 0, MAPPED, v4] };
        bytemuck::cast(words)
    }
}
