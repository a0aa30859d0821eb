//! The short-circuit as callers and pods meet it: whatever they do with their sockets, every byte arrives in its place.
//!
//! Needs root. What `world` sets up is not seen outside of it. NODE_GATEWAY_SCALE=full runs everything at its full size.
#![expect(clippy::expect_used, reason = "a test that cannot go on fails")]
#![allow(clippy::panic, clippy::print_stdout, reason = "a test fails by panicking, and says what it measured")]

mod peers;
mod world;

mod changes;
mod closing;
mod guards;
mod http2;
mod leaving;
mod limits;
mod matrix;
mod memory;
mod node_port;
mod options;
mod order;
mod programs;
mod sharing;
mod soak;
mod streams;
mod switches;
mod upgrades;

use harness::scale;
