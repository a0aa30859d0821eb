//! What the tests share.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::map_err_ignore,
    reason = "a test fails by panicking, and what it prints is part of its result"
)]

pub mod bpffs;
pub mod cgroup;
pub mod cluster;
pub mod daemon;
pub mod dns;
pub mod http;
pub mod http2;
pub mod kubernetes;
pub mod netns;
pub mod objects;
pub mod privilege;
pub mod process;
pub mod scale;
pub mod servers;
pub mod tls;
pub mod traffic;
pub mod wait;
