//! Both ends of HTTP/2: a client and a backend that do what a test tells them, and frames by hand.

pub mod backend;
pub mod client;
pub mod frames;
pub mod scripted;
