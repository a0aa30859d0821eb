//! Every developer and CI verb: `cargo xtask <verb>`.
//!
//! Depends on no product crate, so that it builds in seconds and works while the product does not compile.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a tool for a terminal")]

mod bench;
mod build_ebpf;
mod cluster;
mod command;
mod compare;
mod demo;
mod fuzz;
mod image;
mod install;
mod interrupt;
mod output;
mod programs;
mod test;
mod tidy;
mod workspace;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Builds, shows and checks node-gateway.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    Demo(demo::Arguments),
    Test(test::Arguments),
    Cluster(cluster::Arguments),
    Programs(programs::Arguments),
    Bench(bench::Arguments),
    BuildEbpf(build_ebpf::Arguments),
    Tidy(tidy::Arguments),
    Fuzz(fuzz::Arguments),
    Compare(compare::Arguments),
    Image(image::Arguments),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // Installed before anything is started, so that there is no moment in which Ctrl-C leaves something behind.
    let result = interrupt::Interrupt::install().and_then(|interrupt| match arguments.verb {
        Verb::Demo(arguments) => demo::run(&arguments, &interrupt),
        Verb::Test(arguments) => test::run(&arguments, &interrupt),
        Verb::Cluster(arguments) => cluster::run(&arguments, &interrupt),
        Verb::Programs(arguments) => programs::run(&arguments, &interrupt),
        Verb::Bench(arguments) => bench::run(&arguments, &interrupt),
        Verb::BuildEbpf(arguments) => build_ebpf::run(&arguments, &interrupt),
        Verb::Tidy(arguments) => tidy::run(&arguments, &interrupt),
        Verb::Fuzz(arguments) => fuzz::run(&arguments, &interrupt),
        Verb::Compare(arguments) => compare::run(&arguments, &interrupt),
        Verb::Image(arguments) => image::run(&arguments, &interrupt),
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<interrupt::Interrupted>() => ExitCode::from(130),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
