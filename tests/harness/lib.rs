//! What the tests share.

pub mod privilege;
pub mod wait;
