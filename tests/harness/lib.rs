//! What the tests share.
#![expect(clippy::expect_used, clippy::panic, reason = "what a test cannot go on without is how it fails")]

pub mod daemon;
pub mod http;
pub mod kubernetes;
pub mod netns;
pub mod privilege;
pub mod process;
pub mod traffic;
pub mod wait;
