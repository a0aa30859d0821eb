//! Attacks, each bounded, and each beside a client that only wants its answers: it gets all of them. What that costs it in
//! time is printed, and judged where figures are wanted and the gateway has a CPU of its own.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test that cannot go on fails, and what it prints is part of its result"
)]

mod crowd;
mod descriptors;
mod endpoint;
mod http1;
mod http2;
mod memory;
mod placement;
mod soak;
mod target;
mod victim;
