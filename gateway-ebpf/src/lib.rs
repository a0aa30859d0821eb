//! Types shared by the kernel and the daemon: the values of the maps, and the names both sides find them by.
//!
//! Owns the layout. Every type is `repr(C)`, free of padding (`bytemuck::Pod` refuses the derive otherwise) and has its
//! size asserted, because the object and the daemon are compiled by different compilers.
#![no_std]

mod direction;
mod info;
mod pair;
mod settings;
mod stats;

pub use direction::Direction;
pub use info::{Info, LAYOUT_VERSION};
pub use pair::{End, Half, Hint, Own, Pair, Place, Port, Proof};
pub use settings::{Offsets, Settings};
pub use stats::{Events, Stats};

/// The program that sees sockets being established, on a cgroup. Names stay within the kernel's 15 characters.
pub const PROGRAM_SOCKOPS: &str = "gw_sockops";
/// The program that sees messages being sent, on a map of sockets.
pub const PROGRAM_MSG: &str = "gw_msg";
/// The program that the daemon runs to ask how much a peer has not read yet.
pub const PROGRAM_QUEUE: &str = "gw_queue";
/// Per-CPU array of one [`Stats`] for every [`Direction`].
pub const MAP_STATS: &str = "gw_stats";
/// Per-CPU array of one [`Events`].
pub const MAP_EVENTS: &str = "gw_events";
/// Array of one [`Info`], written by the daemon once it has loaded the object.
pub const MAP_INFO: &str = "gw_info";
/// Array of one [`Settings`].
pub const MAP_SETTINGS: &str = "gw_settings";
/// Socket hash: cookie → socket. Everything in it may be redirected to.
pub const MAP_SOCKS: &str = "gw_socks";
/// Hash: cookie → [`Pair`].
pub const MAP_PAIRS: &str = "gw_pairs";
/// Socket storage: [`End`].
pub const MAP_ENDS: &str = "gw_ends";
/// Socket storage: [`Own`].
pub const MAP_OWN: &str = "gw_own";
/// LRU hash: [`Port`] → the instance that listens. Ports of a daemon that was killed in a network namespace that has gone
/// with it are forgotten in time.
pub const MAP_PORTS: &str = "gw_ports";
/// LRU hash: [`Place`] → [`Hint`].
pub const MAP_HINTS: &str = "gw_hints";
/// LRU hash: [`Proof`] → [`Half`].
pub const MAP_PROOFS: &str = "gw_proofs";
/// Hash: address (IPv4 as `::ffff:a.b.c.d`) → until when it stays outside, by the monotonic clock in nanoseconds.
pub const MAP_OPT_OUT: &str = "gw_opt_out";
/// The pod has an annotation that says so: until it says something else.
pub const OPT_OUT_WISHED: u64 = u64::MAX;
/// How long an address stays outside once sockets there were found to block. Addresses are used again by other pods.
pub const OPT_OUT_LEARNED_NS: u64 = 3_600_000_000_000;
/// Every map, in no order.
pub const MAPS: [&str; 12] = [
    MAP_STATS,
    MAP_EVENTS,
    MAP_INFO,
    MAP_SETTINGS,
    MAP_SOCKS,
    MAP_PAIRS,
    MAP_ENDS,
    MAP_OWN,
    MAP_PORTS,
    MAP_HINTS,
    MAP_PROOFS,
    MAP_OPT_OUT,
];
/// The only key of the arrays of one.
pub const ONLY: u32 = 0;

/// Bytes that may lie in a reader's queue before TCP takes over; one more message may still be let in.
pub const QUEUE_BUDGET: u32 = 256 * 1024;
/// The same where the gateway reads, and no message goes beyond it. It stops reading only to wait for somebody it writes
/// to, and what its peers then send through TCP from within a socket map costs them twice: the more of a large answer fits,
/// the less of it does. TCP lets in one more packet, of up to 72 KiB with what describes it; together they stay below 1 MiB.
pub const QUEUE_BUDGET_OF_GATEWAY: u32 = 896 * 1024;
/// More than any queue can come to hold while the guard keeps the budgets, whatever the size of one message. Who finds as
/// much has found that it does not.
pub const QUEUE_NEVER: u32 = 4 * 1024 * 1024;
