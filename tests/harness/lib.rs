//! What the tests share.

pub mod daemon;
pub mod http;
pub mod kubernetes;
pub mod netns;
pub mod privilege;
pub mod process;
pub mod traffic;
pub mod wait;
