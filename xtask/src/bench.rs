//! `bench`: what the short-circuit is worth, as ratios measured in one run.

use crate::{
    build_ebpf,
    command::{self, cargo},
    install::{self, Tool},
    interrupt::Interrupt,
};
use anyhow::bail;
use std::path::PathBuf;

/// Measures the short-circuit against our userspace path, HAProxy, Envoy and a direct connection.
///
/// Installs nginx-full, haproxy, wrk, iptables, bpftool and util-linux where they are missing, and what build-ebpf needs.
/// Envoy takes part when it is on the path or NODE_GATEWAY_ENVOY names it. Needs root and two CPUs that do nothing else.
/// NODE_GATEWAY_SCALE=full measures longer.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only these cells: P2 small bodies, P4 latency, P6 large bodies, P7 do no harm, P7b connections that are not ours
    #[arg(long, value_name = "CELL", value_delimiter = ',', value_parser = ["P2", "P4", "P6", "P7", "P7b"])]
    only: Vec<String>,
    /// Write the report to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments, interrupt: &Interrupt) -> anyhow::Result<()> {
    if !nix::unistd::geteuid().is_root() {
        bail!("network namespaces and BPF programs need root: run as root");
    }
    let tool = |program, package| Tool { program, package };
    let tools = [
        tool("nginx", "nginx-full"),
        tool("haproxy", "haproxy"),
        tool("wrk", "wrk"),
        tool("iptables", "iptables"),
        tool("bpftool", "bpftool"),
        tool("taskset", "util-linux"),
    ];
    install::tools(&tools, interrupt)?;
    build_ebpf::build(interrupt)?;
    let mut test = cargo(["test", "--profile", "quick", "--package", "gateway-tests", "--test", "fastpath", "--"]);
    test.args(["--ignored", "--nocapture", "figures::"]);
    if !arguments.only.is_empty() {
        test.env("NODE_GATEWAY_CELLS", arguments.only.join(","));
    }
    if let Some(path) = &arguments.json {
        // The test runs in a directory of its own.
        test.env("NODE_GATEWAY_REPORT", std::path::absolute(path)?);
    }
    let status = command::stream(&mut test, interrupt, |line| println!("{line}"))?;
    if status.success() { Ok(()) } else { bail!("a contender failed; see above") }
}
