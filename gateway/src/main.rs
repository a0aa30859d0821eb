//! The `gateway` binary.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: gateway::memory::Allocator = gateway::memory::Allocator;

fn main() -> ExitCode {
    gateway::cli::main()
}
