//! The command line: `gateway run` and the commands that explain, check and list without a cluster.

pub mod analyze;
pub mod config;
pub mod context;
mod daemon;
pub mod environment;
pub mod explain;
pub mod fastpath;
pub mod input;
mod output;
pub mod run;
pub mod validate;

use clap::{CommandFactory, Parser, Subcommand};
use std::{fmt::Display, process::ExitCode};

/// Everything is fine.
pub const FINE: u8 = 0;
/// There are findings, or no route.
pub const FINDINGS: u8 = 1;
/// Wrong usage or unreadable input.
pub const USAGE: u8 = 2;

/// Istio's traffic management on every node, without sidecars.
#[derive(Debug, Parser)]
#[command(
    name = "gateway",
    version,
    propagate_version = true,
    after_help = "Exit codes: 0 fine, 1 findings or no route, 2 wrong usage or unreadable input."
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve traffic as Kubernetes or files say, until SIGTERM
    Run(Box<run::RunArgs>),
    /// Say which route takes a request, and why
    Explain(Box<explain::ExplainArgs>),
    /// Say what Istio's admission webhook would say of objects
    Validate(Box<validate::ValidateArgs>),
    /// Say what is wrong between objects: references that lead nowhere, rules that shadow each other
    Analyze(Box<analyze::AnalyzeArgs>),
    /// List listeners, routes, clusters or endpoints
    Config(Box<config::ConfigArgs>),
    /// What the kernel moves past TCP: status, and removal
    Fastpath(fastpath::FastpathArgs),
}

/// Parses the command line and runs the command.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let code = match cli.command {
        Command::Run(args) => run::run(*args, &Cli::command()),
        Command::Explain(args) => explain::run(&args),
        Command::Validate(args) => validate::run(&args),
        Command::Analyze(args) => analyze::run(&args),
        Command::Config(args) => config::run(&args),
        Command::Fastpath(args) => fastpath::run(&args),
    };
    ExitCode::from(code)
}

/// Says on stderr what is wrong.
#[expect(clippy::print_stderr, reason = "a command answers its user on the terminal")]
pub fn complain(error: &dyn Display) {
    eprintln!("error: {error}");
}
