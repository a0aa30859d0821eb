//! Clients and servers that people run, every one with every other, through one gateway: byte for byte.
//!
//! Needs root: the stage is that of tests/fastpath.
#![expect(clippy::expect_used, reason = "a test that cannot go on fails")]
#![allow(clippy::panic, reason = "a test fails by panicking")]

#[path = "../fastpath"]
#[allow(dead_code, unused_imports, reason = "the tests of the short-circuit use the rest")]
mod fastpath {
    pub(crate) mod world;
}

mod backends;
mod clients;
mod curl;
mod objects;
mod outcomes;
mod programs;
mod stage;

mod chromium;
mod grpc;
mod matrix;
mod streams;
mod tools;

use fastpath::world;
