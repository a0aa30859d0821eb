//! `gw_msg`: runs on every message a socket of `gw_socks` sends, and puts it into the peer's queue where that is safe.
//!
//! No path of this program drops a message: the sender would see EACCES. Whatever is in doubt goes to TCP.

use crate::{
    clock::now,
    guard::{Peer, has_delivered_all, has_never_used_tcp, is_blocking, sees_sender},
    maps::{gw_ends, gw_opt_out, gw_pairs, gw_settings, gw_socks, gw_stats},
};
use aya_ebpf::{
    bindings::{BPF_ANY, BPF_TCP_CLOSE_WAIT, BPF_TCP_ESTABLISHED, sk_action::SK_PASS},
    macros::sk_msg,
    programs::SkMsgContext,
};
use gateway_ebpf::{
    Direction, ONLY, OPT_OUT_LEARNED_NS, OPT_OUT_WISHED, Pair, QUEUE_BUDGET, QUEUE_BUDGET_OF_GATEWAY, QUEUE_NEVER,
    Settings, Stats,
};

/// Why a message is left to TCP.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pass {
    NoPeer,
    Unread,
    Sticky,
    Blocking,
    OverBudget,
    Paused,
    Off,
    Stale,
    Closing,
}

#[sk_msg]
pub(crate) fn gw_msg(ctx: SkMsgContext) -> u32 {
    // SAFETY: the context lives as long as the program runs; the field is a union in the kernel's header.
    #[expect(unsafe_code, reason = "the context is reached through a pointer")]
    let socket = unsafe { (*ctx.msg).__bindgen_anon_3.sk };
    if socket.is_null() {
        return SK_PASS;
    }
    // SAFETY: not null, and the verifier knows it for a socket.
    #[expect(unsafe_code, reason = "the socket is reached through a pointer")]
    let state = unsafe { (*socket).state };
    let Some(end) = gw_ends.get(socket) else { return SK_PASS };
    let Some(stats) = gw_stats.get_ptr_mut(end.direction) else { return SK_PASS };
    // SAFETY: the pointer is this CPU's slot of a per-CPU array, which lives as long as the program.
    #[expect(unsafe_code, reason = "map values are reached through pointers")]
    let stats = unsafe { &mut *stats };
    let bytes = u64::from(ctx.size());
    let Some(pair) = gw_pairs.get_ptr_mut(end.cookie) else {
        count(stats, None, bytes, Pass::NoPeer);
        return SK_PASS;
    };
    // SAFETY: only this program writes the entry, under the lock of the sending socket.
    #[expect(unsafe_code, reason = "map values are reached through pointers")]
    let pair = unsafe { &mut *pair };
    match judge(pair, end.cookie, state, ctx.size()) {
        Ok(()) if gw_socks.redirect(&ctx, pair.peer) => {
            stats.redirected_messages += 1;
            stats.redirected_bytes += bytes;
            pair.redirected_messages += 1;
            pair.redirected_bytes += bytes;
        }
        // The peer has been closed since it was looked at. A refused redirect changes nothing: TCP takes the message.
        Ok(()) => count(stats, Some(pair), bytes, Pass::Closing),
        Err(pass) => {
            if pass == Pass::Blocking {
                stay_away(pair);
            }
            count(stats, Some(pair), bytes, pass);
        }
    }
    SK_PASS
}

/// One end must not be in a map of sockets. This pair goes on through TCP, and no other of its address is made.
#[inline(always)]
fn stay_away(pair: &mut Pair) {
    pair.paused = Pair::LEAVING;
    if let Some(peer) = gw_pairs.get_ptr_mut(pair.peer) {
        // SAFETY: the verifier proves the pointer; a word is written.
        #[expect(unsafe_code, reason = "map values are reached through pointers")]
        unsafe {
            (*peer).paused = Pair::LEAVING;
        }
    }
    let blocking = if Direction::is_read_by_gateway(pair.direction) { pair.local } else { pair.remote };
    let is_wished = gw_opt_out.get_ptr(blocking.address).is_some_and(|until| {
        // SAFETY: the verifier proves the pointer; the value is one word.
        #[expect(unsafe_code, reason = "map values are reached through pointers")]
        let until = unsafe { *until };
        until == OPT_OUT_WISHED
    });
    if !is_wished {
        // A full map means that the next connection finds out for itself.
        let _full = gw_opt_out.insert(blocking.address, now() + OPT_OUT_LEARNED_NS, u64::from(BPF_ANY));
    }
}

/// Whether the message may go into the peer's queue now.
#[inline(always)]
fn judge(pair: &Pair, cookie: u64, state: u32, bytes: u32) -> Result<(), Pass> {
    let gateway_reads = Direction::is_read_by_gateway(pair.direction);
    // Who sends to the gateway also reads what it answers.
    let program = if gateway_reads { pair.socket } else { pair.peer_socket };
    if !cfg!(feature = "without-blocking") && pair.paused == 0 && is_blocking(program) == Some(true) {
        return Err(Pass::Blocking);
    }
    let wanted = wanted(pair);
    if let (Err(pass), true) = (wanted, gateway_reads) {
        return Err(pass);
    }
    // What is sent after shutdown(SHUT_WR) has to fail, and TCP knows how.
    if !cfg!(feature = "without-closing") && state != BPF_TCP_ESTABLISHED && state != BPF_TCP_CLOSE_WAIT {
        return Err(Pass::Closing);
    }
    let Some(peer) = Peer::of(pair) else {
        // Peers go. The sender is there, for it is sending: if not even that can be seen, the guard sees nothing.
        if !sees_sender(pair, cookie) {
            trip(Settings::TRIPPED_BLIND);
        }
        return Err(Pass::Closing);
    };
    in_order(pair, &peer, gateway_reads)?;
    // Nothing of TCP's is among what is queued: it would not have been in order.
    let is_over_budget = if gateway_reads {
        peer.queued.saturating_add(bytes) > QUEUE_BUDGET_OF_GATEWAY
    } else {
        peer.queued >= QUEUE_BUDGET
    };
    if is_over_budget {
        if peer.queued >= QUEUE_NEVER {
            trip(Settings::TRIPPED_QUEUE);
            return Err(Pass::OverBudget);
        }
        if !cfg!(feature = "without-memory") {
            return Err(Pass::OverBudget);
        }
    }
    match wanted {
        // Somebody else's code reads this queue. With bytes in TCP's queue too it might never look for those, so the
        // switch waits until this one is empty.
        Err(_) if peer.queued > 0 => Ok(()),
        other => other,
    }
}

/// Whether what is redirected now is read after everything that went through TCP.
///
/// The gateway reads until nothing is left, so TCP's bytes need only have been read. Other readers may still be within one
/// call that waits for more of TCP's (MSG_WAITALL, SO_RCVLOWAT), and would take what comes that way next for the
/// continuation: for them TCP, once used, stays.
#[inline(always)]
fn in_order(pair: &Pair, peer: &Peer, gateway_reads: bool) -> Result<(), Pass> {
    if gateway_reads {
        let is_read = cfg!(feature = "without-unread") || peer.has_read_all;
        let is_delivered = cfg!(feature = "without-flight") || has_delivered_all(pair);
        if is_read && is_delivered { Ok(()) } else { Err(Pass::Unread) }
    } else if cfg!(feature = "without-sticky") || has_never_used_tcp(pair) {
        Ok(())
    } else {
        Err(Pass::Sticky)
    }
}

/// Whether anything is to be redirected at all.
#[inline(always)]
fn wanted(pair: &Pair) -> Result<(), Pass> {
    if cfg!(feature = "without-switch") {
        return Ok(());
    }
    let Some(settings) = gw_settings.get(ONLY) else { return Err(Pass::Off) };
    if settings.enabled == 0 || settings.tripped != 0 {
        return Err(Pass::Off);
    }
    let now = now();
    // A heartbeat in the future is a coarse clock's.
    let is_stale = now > settings.heartbeat_ns && now - settings.heartbeat_ns > settings.stale_after_ns;
    if is_stale && !cfg!(feature = "without-stale") {
        return Err(Pass::Stale);
    }
    if pair.paused != 0 && !cfg!(feature = "without-pause") { Err(Pass::Paused) } else { Ok(()) }
}

/// Everything goes through TCP from now on, until a daemon starts anew; the daemon sees it and says so.
#[inline(always)]
fn trip(why: u32) {
    if let Some(settings) = gw_settings.get_ptr_mut(ONLY) {
        // SAFETY: the verifier proves the pointer; a word is written.
        #[expect(unsafe_code, reason = "map values are reached through pointers")]
        unsafe {
            (*settings).tripped = why;
        }
    }
}

#[inline(always)]
fn count(stats: &mut Stats, pair: Option<&mut Pair>, bytes: u64, pass: Pass) {
    stats.passed_messages += 1;
    stats.passed_bytes += bytes;
    if let Some(pair) = pair {
        pair.passed_messages += 1;
        pair.passed_bytes += bytes;
    }
    match pass {
        Pass::NoPeer => stats.passed_no_peer += 1,
        Pass::Unread => stats.passed_unread += 1,
        Pass::Sticky => stats.passed_sticky += 1,
        Pass::Blocking => stats.passed_blocking += 1,
        Pass::OverBudget => stats.passed_over_budget += 1,
        Pass::Paused => stats.passed_paused += 1,
        Pass::Off => stats.passed_off += 1,
        Pass::Stale => stats.passed_stale += 1,
        Pass::Closing => stats.passed_closing += 1,
    }
}
