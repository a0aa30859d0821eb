//! The client of `cargo xtask bench` where figures must be exact: it sends when a request is due, whatever became of
//! those before it, and believes no answer that it has not checked.
#![allow(clippy::print_stdout, reason = "its output is its result")]

mod connection;
mod expected;
mod idle;
mod schedule;

use clap::{Parser, Subcommand};
use expected::Expected;
use std::net::SocketAddr;

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    mode: Mode,
}

#[derive(Subcommand)]
enum Mode {
    /// Sends at a steady rate and prints what the answers took, from the moment each request was due, as JSON.
    Open {
        #[command(flatten)]
        target: Target,
        /// Requests a second, over all connections
        #[arg(long)]
        rate: u32,
    },
    /// Sends as fast as answers come, and prints what was wrong, as JSON.
    Closed {
        #[command(flatten)]
        target: Target,
    },
    /// Opens connections, makes one request on each, prints how many stand, and keeps them until its input ends.
    Idle {
        #[command(flatten)]
        target: Target,
        /// Over TLS, whoever answers
        #[arg(long)]
        tls: bool,
    },
}

#[derive(clap::Args)]
struct Target {
    #[arg(long)]
    address: SocketAddr,
    /// What is asked for and which subset must answer; several take turns
    #[arg(long = "expect", value_name = "PATH=SUBSET[/LENGTH]", required = true)]
    expected: Vec<Expected>,
    #[arg(long, default_value_t = 32)]
    connections: usize,
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
}

fn main() -> anyhow::Result<()> {
    let report = match Arguments::parse().mode {
        Mode::Open { target, rate } => schedule::run(&target, Some(rate))?,
        Mode::Closed { target } => schedule::run(&target, None)?,
        Mode::Idle { target, tls } => return idle::run(&target, tls),
    };
    println!("{report}");
    Ok(())
}
