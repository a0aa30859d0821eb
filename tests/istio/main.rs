//! Istio's own gateway as the judge: the same objects in the same cluster, the same requests to both gateways, and every
//! answer, every request a pod received and every routing table compared.
//!
//! Run it as `cargo xtask compare`. It needs both gateways in the cluster of `NODE_GATEWAY_KUBECONFIG`.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, clippy::print_stderr, reason = "a test program")]

mod answer;
mod case;
mod check;
mod distribution;
mod exchange;
mod explained;
mod lab;
mod report;
mod request;
mod run;
mod table;

use clap::Parser;
use std::process::ExitCode;

/// Compares our gateway with Istio's.
#[derive(Parser)]
struct Arguments {
    /// Only cases whose name contains this (repeatable); no random worlds
    #[arg(long = "case", value_name = "NAME")]
    cases: Vec<String>,
    /// The same, as a test runner takes it
    filter: Option<String>,
}

fn main() -> ExitCode {
    let mut arguments = Arguments::parse();
    arguments.cases.extend(arguments.filter.take());
    match run::run(&arguments.cases) {
        Ok(report) => {
            report.print();
            if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            println!("test result: FAILED. 0 passed; 1 failed; 0 ignored");
            ExitCode::FAILURE
        }
    }
}
