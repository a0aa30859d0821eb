//! What the tests share.

pub mod http;
pub mod privilege;
pub mod wait;
