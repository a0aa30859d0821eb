//! The `gateway` binary.

use std::process::ExitCode;

/// Gives memory back after a burst and does not fragment over weeks, which glibc's allocator does with many threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    gateway::cli::main()
}
