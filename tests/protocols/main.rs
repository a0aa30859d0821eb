//! What others have written to speak HTTP, or to try how it is spoken, against the data plane.

#![expect(clippy::expect_used, reason = "a test that cannot go on fails")]

#[path = "../proxy/gateway.rs"]
#[allow(dead_code, unused_imports, reason = "the tests of the proxy use the rest")]
mod gateway;

mod announced;
mod h2spec;
mod programs;
