//! Which bytes the kernel may move past TCP, as values: no socket, no map, no clock.
//!
//! The kernel proves that two sockets are each other's and guards every message. What it cannot know is decided here: how
//! much a writer may leave in a reader's queue ([`window`]), and who has opted out ([`opt_out`]). `fastpath` carries the
//! answers to the kernel, `upstream` asks before it writes.

pub mod opt_out;
pub mod window;
