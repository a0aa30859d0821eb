//! The gateway as a DaemonSet on a real cluster: what the article promises, and what must not be lost on the way.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking, and what it prints is part of its result"
)]

mod access;
mod article;
mod backends;
mod crash;
mod degraded;
mod egress;
mod outage;
mod outside;
mod own_node;
mod render;
mod required;
mod samples;
mod security;
mod updates;
mod weights;
