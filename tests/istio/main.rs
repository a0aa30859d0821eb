//! Istio's own gateway as the judge: the same objects in the same cluster, the same requests to both gateways, and every
//! answer, every request a pod received and every routing table compared.
//!
//! Run it as `cargo xtask compare`. It needs both gateways in the cluster of `NODE_GATEWAY_KUBECONFIG`.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, clippy::print_stderr, reason = "a test program")]

mod answer;
mod case;
mod certificates;
mod check;
mod distribution;
mod exchange;
mod explained;
mod figures;
mod frozen;
mod judge;
mod lab;
mod random;
mod report;
mod request;
mod run;
mod stream;
mod table;
mod tls;
mod validation;
mod values;

use clap::Parser;
use run::Plan;
use std::{ops::Range, process::ExitCode};

/// Compares our gateway with Istio's.
#[derive(Parser)]
struct Arguments {
    /// Only cases whose name contains this (repeatable)
    #[arg(long = "case", value_name = "NAME")]
    cases: Vec<String>,
    /// The same, as a test runner takes it
    filter: Option<String>,
    #[command(flatten)]
    figures: figures::Wanted,
    /// What test runners say to their tests, and which makes no difference here
    #[arg(long, hide = true)]
    nocapture: bool,
    #[arg(long, hide = true)]
    test_threads: Option<usize>,
    /// Only the random worlds of these seeds; with neither this nor --case all cases and the worlds 0:100
    #[arg(long, value_name = "FROM:TO", value_parser = seeds)]
    seeds: Option<Range<u64>>,
    /// Random requests over all worlds
    #[arg(long, value_name = "N", default_value_t = 2000)]
    requests: usize,
}

fn main() -> ExitCode {
    let mut arguments = Arguments::parse();
    arguments.cases.extend(arguments.filter.take());
    if arguments.figures.is_wanted() {
        return match lab::Lab::open().and_then(|lab| figures::run(&lab, &arguments.figures)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("error: {error:#}");
                ExitCode::FAILURE
            }
        };
    }
    let plan = Plan::new(arguments.cases, arguments.seeds, arguments.requests);
    match run::run(&plan) {
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

fn seeds(text: &str) -> Result<Range<u64>, String> {
    let wrong = || format!("{text:?} is no range: write FROM:TO, for example 0:100");
    let (from, to) = text.split_once(':').ok_or_else(wrong)?;
    match (from.parse(), to.parse()) {
        (Ok(from), Ok(to)) if from < to => Ok(from..to),
        _ => Err(wrong()),
    }
}
