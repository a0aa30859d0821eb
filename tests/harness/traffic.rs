//! Plain HTTP/1.1 over plain sockets: backends that say who they are, and clients that notice every failure.

mod backend;
mod caller;
mod client;
mod load;

pub use backend::Backend;
pub use caller::{Caller, Connections};
pub use client::{Answer, Client, get_once};
pub use load::{Load, Sent};
