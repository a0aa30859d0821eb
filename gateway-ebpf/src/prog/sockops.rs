//! `gw_sockops`: runs on the state changes of every TCP socket of the cgroup it is attached to, and finds the connections
//! whose two ends are the gateway's and a pod's of this node.
//!
//! How two ends are proven to be each other's:
//!
//! 1. A handshake that concerns the gateway leaves a hint under the caller's place: a call that arrives at a port of the
//!    gateway, and a call of the gateway's that arrives anywhere on this node.
//! 2. The calling end is established first. If a hint says that its call has arrived here, it joins `gw_socks` and leaves
//!    its half under the proof: both sequence numbers, which nobody but the two ends knows.
//! 3. The called end computes the same proof from its own side, finds the half, joins, and writes both pairs.
//!
//! Addresses alone decide nothing: two pods may own the same loopback addresses, and NAT changes what each end sees.
//!
//! Where the caller's own place is changed on the way too (a node port, masqueraded), no hint can find it. Who calls a node
//! port of the gateway's Service is looked at all the same, and leaves its half under the sequence numbers alone: 64 bits
//! that the kernel has drawn. Most such calls end on other nodes, so who is not proven by its first round trip leaves.

use crate::{
    clock::now,
    guard::is_blocking,
    maps::{gw_ends, gw_events, gw_hints, gw_opt_out, gw_pairs, gw_ports, gw_proofs, gw_socks, gw_stats},
    sock::Sock,
};
use aya_ebpf::{
    bindings::{
        BPF_ANY, BPF_NOEXIST, BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB, BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB,
        BPF_SOCK_OPS_RTT_CB, BPF_SOCK_OPS_RTT_CB_FLAG, BPF_SOCK_OPS_STATE_CB, BPF_SOCK_OPS_STATE_CB_FLAG,
        BPF_SOCK_OPS_TCP_CONNECT_CB, BPF_SOCK_OPS_TIMEOUT_INIT, BPF_TCP_CLOSE,
    },
    macros::sock_ops,
    programs::SockOpsContext,
};
use gateway_ebpf::{Direction, End, Events, Half, Hint, ONLY, Pair, Place, Port, Proof};

/// Negative error numbers of the kernel.
const EBUSY: i64 = -16;
const E2BIG: i64 = -7;
const ENOMEM: i64 = -12;

/// The return value 1 lets the kernel go on as if no program were there, whatever was found.
#[sock_ops]
pub(crate) fn gw_sockops(ctx: SockOpsContext) -> u32 {
    let sock = Sock::new(&ctx);
    match ctx.op() {
        BPF_SOCK_OPS_TCP_CONNECT_CB => calling(sock),
        BPF_SOCK_OPS_TIMEOUT_INIT => arrived(sock),
        BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB => {
            count(|events| events.active_established += 1);
            caller_established(sock);
        }
        BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB => {
            count(|events| events.passive_established += 1);
            called_established(sock);
        }
        BPF_SOCK_OPS_STATE_CB => {
            if ctx.arg(1) == BPF_TCP_CLOSE {
                closed(sock);
            }
        }
        BPF_SOCK_OPS_RTT_CB => heard_of(sock),
        _ => {}
    }
    1
}

/// The end of a socket, and of its entry in `gw_pairs`.
///
/// When TCP's buffer is full, the kernel lets the next message pass without asking `gw_msg` again (`tcp_bpf_send_verdict`
/// keeps its verdict). What TCP has carried in all is known now, and what was not counted is.
#[inline(never)]
fn closed(sock: Sock) {
    let cookie = sock.cookie();
    // None when the other end was never proven.
    let Some(pair) = gw_pairs.get_ptr(cookie) else { return };
    // SAFETY: the verifier proves the pointer; a closed socket sends nothing that would change what is read.
    #[expect(unsafe_code, reason = "map values are reached through pointers")]
    let pair = unsafe { &*pair };
    let uncounted = sock.bytes_carried().saturating_sub(pair.passed_bytes);
    if pair.passed_messages > 0
        && uncounted > 0
        && let Some(stats) = gw_stats.get_ptr_mut(pair.direction)
    {
        // SAFETY: the pointer is this CPU's slot of a per-CPU array, which lives as long as the program.
        #[expect(unsafe_code, reason = "map values are reached through pointers")]
        unsafe {
            (*stats).passed_bytes += uncounted;
        }
    }
    let _removed = gw_pairs.remove(cookie);
}

/// The first acknowledgement of something a socket of the map sent through TCP. If it is a caller that turned out to block,
/// it can leave now: it is waiting for the answer to its first message, and nothing has been put into its queue. If it is
/// one whose other end was not found, it can leave as well: who acknowledges has been established, so the proof is not
/// coming any more, and nobody knows a way to its queue.
#[inline(never)]
fn heard_of(sock: Sock) {
    let cookie = sock.cookie();
    let pair = gw_pairs.get_ptr(cookie);
    if pair.is_none() {
        gw_socks.remove(cookie);
        count(|events| events.unproven += 1);
    }
    if let Some(pair) = pair {
        // SAFETY: the verifier proves the pointer; the words read do not change any more.
        #[expect(unsafe_code, reason = "map values are reached through pointers")]
        let pair = unsafe { &*pair };
        let leaving = pair.paused == Pair::LEAVING && pair.direction == Direction::CALLER_TO_GATEWAY;
        if leaving && pair.redirected_messages == 0 && has_never_been_answered(pair.peer) {
            gw_socks.remove(cookie);
        }
    }
    let _set = sock.context().set_cb_flags(BPF_SOCK_OPS_STATE_CB_FLAG as i32);
}

#[inline(always)]
fn has_never_been_answered(peer: u64) -> bool {
    gw_pairs.get_ptr(peer).is_some_and(|pair| {
        // SAFETY: as above.
        #[expect(unsafe_code, reason = "map values are reached through pointers")]
        let messages = unsafe { (*pair).redirected_messages };
        messages == 0
    })
}

/// Before the gateway's first SYN.
#[inline(never)]
fn calling(sock: Sock) {
    if sock.is_own() {
        let hint = Hint { state: Hint::CALLING, reserved: 0 };
        let _full = gw_hints.insert(sock.local(), hint, u64::from(BPF_ANY));
    }
}

/// On a SYN, before it is answered. The same operation runs for calling sockets, which are full ones.
#[inline(never)]
fn arrived(sock: Sock) {
    if sock.is_full() {
        return;
    }
    let caller = sock.remote();
    let port = Port { netns: sock.netns(), port: sock.local_port(), reserved: 0 };
    let concerns_the_gateway = gw_ports.get_ptr(port).is_some() || gw_hints.get_ptr(caller).is_some();
    if concerns_the_gateway {
        let hint = Hint { state: Hint::ARRIVED, reserved: 0 };
        let _full = gw_hints.insert(caller, hint, u64::from(BPF_ANY));
    }
}

#[inline(never)]
fn caller_established(sock: Sock) {
    if cfg!(feature = "without-choice") {
        join(sock, Direction::CALLER_TO_GATEWAY);
        return;
    }
    let (local, remote) = (sock.local(), sock.remote());
    let has_arrived = has_arrived(&local);
    if !has_arrived && !is_node_port(remote.port) {
        return;
    }
    let direction = if sock.is_own() { Direction::GATEWAY_TO_ENDPOINT } else { Direction::CALLER_TO_GATEWAY };
    if opted_out(&local.address) || opted_out(&remote.address) {
        count(|events| events.refused_opt_out += 1);
        return;
    }
    let socket = sock.kernel_address();
    let blocks = || !cfg!(feature = "without-blocking") && is_blocking(socket) != Some(false);
    if direction == Direction::CALLER_TO_GATEWAY && blocks() {
        count(|events| events.refused_blocking += 1);
        return;
    }
    let cookie = join(sock, direction);
    if cookie == 0 {
        return;
    }
    let first_sequence = sock.snd_nxt();
    let half = Half { cookie, pair: Pair { socket, direction, first_sequence, local, remote, ..Pair::default() } };
    let mut proof = proof(local, sock.snd_nxt(), sock.rcv_nxt());
    if !has_arrived {
        proof.caller = Place::default();
    }
    // One that is there already cannot be told from this one: neither is proven then.
    if gw_proofs.insert(proof, half, u64::from(BPF_NOEXIST)).is_err() {
        let _removed = gw_proofs.remove(proof);
    }
}

/// Whether the gateway's Service has this node port. A function of its own, for the stack.
#[inline(never)]
fn is_node_port(port: u32) -> bool {
    gw_ports.get_ptr(Port { netns: Port::OF_NODES, port, reserved: 0 }).is_some()
}

/// Whether a call from this place has arrived on this node; asked once.
#[inline(always)]
fn has_arrived(caller: &Place) -> bool {
    let Some(hint) = gw_hints.get_ptr(caller) else { return false };
    // SAFETY: the verifier proves the pointer; another handshake may write the value, which is one word.
    #[expect(unsafe_code, reason = "map values are reached through pointers")]
    let state = unsafe { (*hint).state };
    let _removed = gw_hints.remove(caller);
    state == Hint::ARRIVED
}

#[inline(never)]
fn called_established(sock: Sock) {
    if cfg!(feature = "without-choice") {
        join(sock, Direction::GATEWAY_TO_CALLER);
        return;
    }
    let (local, remote) = (sock.local(), sock.remote());
    let mut proof = proof(remote, sock.rcv_nxt(), sock.snd_nxt());
    let mut found = gw_proofs.get_ptr_mut(proof);
    if found.is_none() && sock.is_own() {
        proof.caller = Place::default();
        found = gw_proofs.get_ptr_mut(proof);
    }
    let Some(found) = found else { return };
    // SAFETY: the verifier proves the pointer. The caller wrote the value before its last packet of the handshake, and only
    // one socket can know the proof.
    #[expect(unsafe_code, reason = "map values are reached through pointers")]
    let half = unsafe { &mut *found };
    if let Some(direction) = answers(sock, half.pair.direction) {
        pair_up(sock, half, local, remote, direction);
    }
    let _removed = gw_proofs.remove(proof);
}

#[inline(always)]
fn proof(caller: Place, caller_sequence: u32, called_sequence: u32) -> Proof {
    if cfg!(feature = "without-proof") {
        return Proof { caller, caller_sequence: 0, called_sequence: 0 };
    }
    Proof { caller, caller_sequence, called_sequence }
}

/// The direction of the called end; `None` when the listener was the gateway's as the call came, and is not any more.
#[inline(always)]
fn answers(sock: Sock, caller: u32) -> Option<u32> {
    if sock.is_own() {
        Some(Direction::GATEWAY_TO_CALLER)
    } else if caller == Direction::GATEWAY_TO_ENDPOINT {
        Some(Direction::ENDPOINT_TO_GATEWAY)
    } else {
        None
    }
}

#[inline(always)]
fn pair_up(sock: Sock, half: &mut Half, local: Place, remote: Place, direction: u32) {
    if opted_out(&local.address) {
        return count(|events| events.refused_opt_out += 1);
    }
    let cookie = join(sock, direction);
    if cookie == 0 {
        return;
    }
    let (socket, caller_socket) = (sock.kernel_address(), half.pair.socket);
    half.pair.peer = cookie;
    half.pair.peer_socket = socket;
    // The called end's entry begins as a copy of the other, for there is not enough stack to build it there. Its socket
    // sends nothing before this program returns.
    if gw_pairs.insert(cookie, &half.pair, u64::from(BPF_ANY)).is_err() {
        return count(|events| events.refused_full += 1);
    }
    if let Some(called) = gw_pairs.get_ptr_mut(cookie) {
        // SAFETY: the verifier proves the pointer.
        #[expect(unsafe_code, reason = "map values are reached through pointers")]
        let called = unsafe { &mut *called };
        called.peer = half.cookie;
        called.socket = socket;
        called.peer_socket = caller_socket;
        called.direction = direction;
        called.first_sequence = sock.snd_nxt();
        called.local = local;
        called.remote = remote;
    }
    // The caller's entry last: it is the one that may be sending already.
    if gw_pairs.insert(half.cookie, &half.pair, u64::from(BPF_ANY)).is_err() {
        let _removed = gw_pairs.remove(cookie);
        return count(|events| events.refused_full += 1);
    }
    count(|events| events.paired += 1);
}

/// Puts the socket into `gw_socks`. Its cookie, or 0, which no socket has, when it has to stay outside.
#[inline(never)]
fn join(sock: Sock, direction: u32) -> u64 {
    if sock.speaks_mptcp() {
        count(|events| events.refused_mptcp += 1);
        return 0;
    }
    let cookie = sock.cookie();
    if !gw_ends.create(sock.socket(), End { cookie, direction, reserved: 0 }) {
        count(|events| events.refused_full += 1);
        return 0;
    }
    match gw_socks.insert(&sock.context(), cookie) {
        Ok(()) => {}
        Err(EBUSY) => {
            count(|events| events.refused_foreign += 1);
            return 0;
        }
        Err(E2BIG | ENOMEM) => {
            count(|events| events.refused_full += 1);
            return 0;
        }
        Err(_) => {
            count(|events| events.refused_other += 1);
            return 0;
        }
    }
    // So that the end of the socket is heard of. Without it the pair's entry outlives the socket, until the daemon sweeps.
    let flags = BPF_SOCK_OPS_STATE_CB_FLAG | BPF_SOCK_OPS_RTT_CB_FLAG;
    let _set = sock.context().set_cb_flags(flags as i32);
    cookie
}

#[inline(always)]
fn opted_out(address: &[u8; 16]) -> bool {
    gw_opt_out.get_ptr(address).is_some_and(|until| {
        // SAFETY: the verifier proves the pointer; the value is one word.
        #[expect(unsafe_code, reason = "map values are reached through pointers")]
        let until = unsafe { *until };
        until > now()
    })
}

#[inline(always)]
fn count(add: impl FnOnce(&mut Events)) {
    if let Some(events) = gw_events.get_ptr_mut(ONLY) {
        // SAFETY: the pointer is this CPU's slot of a per-CPU array, which lives as long as the program.
        #[expect(unsafe_code, reason = "map values are reached through pointers")]
        add(unsafe { &mut *events });
    }
}
