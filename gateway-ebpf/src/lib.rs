//! Types shared by the kernel and the daemon: the values of the maps, and the names both sides find them by.
//!
//! Owns the layout. Every type is `repr(C)`, free of padding (`bytemuck::Pod` refuses the derive otherwise) and has its
//! size asserted, because the object and the daemon are compiled by different compilers.
#![no_std]

mod info;
mod stats;

pub use info::{Info, LAYOUT_VERSION};
pub use stats::Stats;

/// The program that sees sockets being established, on a cgroup. Names stay within the kernel's 15 characters.
pub const PROGRAM_SOCKOPS: &str = "gw_sockops";
/// The program that sees messages being sent, on a map of sockets.
pub const PROGRAM_MSG: &str = "gw_msg";
/// Per-CPU array of one [`Stats`].
pub const MAP_STATS: &str = "gw_stats";
/// Array of one [`Info`], written by the daemon once it has loaded the object.
pub const MAP_INFO: &str = "gw_info";
/// The only key of [`MAP_STATS`] and [`MAP_INFO`].
pub const ONLY: u32 = 0;
