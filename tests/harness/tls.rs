//! TLS in tests: certificates made on the spot, and a client that shows what a handshake came to.

pub mod certificates;
pub mod client;
pub mod front;
