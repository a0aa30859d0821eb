//! HTTP on both sides of a gateway, byte by byte: a backend that does what a test tells it, a client that sends what a
//! test gives it. Neither has an HTTP library, which would be too well-behaved.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

pub mod backend;
pub mod client;
pub mod message;
pub mod strict;
