//! Connections to endpoints: made, kept, reused, forgotten.
//!
//! Every worker has its own [`pool::Pool`]; nothing here is shared between threads. A connection of HTTP/1 and the future
//! that drives it stay together and are polled by whoever uses them: no task per connection, no wake-up between tasks. One
//! of HTTP/2 has many users and a task of its own; where it is found says [`shelves::Shelves`].

pub(crate) mod carrier;
pub(crate) mod connect;
pub(crate) mod connection;
mod doorbell;
mod flow;
pub(crate) mod http2;
pub(crate) mod lease;
pub(crate) mod opening;
mod pause;
pub(crate) mod pool;
pub(crate) mod secure;
pub(crate) mod shelves;
pub(crate) mod socket;
pub(crate) mod stream;
pub(crate) mod tunnel;
