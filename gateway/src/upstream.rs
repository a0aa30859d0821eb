//! Connections to endpoints: made, kept, reused, forgotten.
//!
//! Every worker has its own [`pool::Pool`]; nothing here is shared between threads. A connection and the future that
//! drives it stay together and are polled by whoever uses them: no task per connection, no wake-up between tasks.

pub(crate) mod connect;
pub(crate) mod connection;
mod doorbell;
mod flow;
pub(crate) mod lease;
mod pause;
pub(crate) mod pool;
pub(crate) mod secure;
pub(crate) mod socket;
pub(crate) mod stream;
