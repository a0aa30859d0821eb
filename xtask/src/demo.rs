//! `demo`: the article, on this machine, with one command.

mod client;
mod cluster;
mod gateway;
mod loopback;
mod namespaces;
mod objects;
mod place;
mod split;

use crate::{
    build_ebpf,
    command::{self, cargo},
    install::{self, Tool},
    interrupt::Interrupt,
    output::{step, styled},
    workspace,
};
use anyhow::ensure;
use cluster::Cluster;
use objects::Weights;
use place::Place;
use split::Split;

/// Shows the article "Incremental Istio Part 1": requests split over reviews v1 and v2, none reaches v3.
///
/// As root, a caller, the gateway and the three reviews get a network namespace each, joined by a bridge that has one of
/// its own; the host's network is not touched. Without root the same runs on loopback ports. Ctrl-C ends it and removes
/// everything.
///
/// Installs, where they are missing: curl, jq, iproute2 and util-linux with apt-get, and as root what build-ebpf needs.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Exit after the report; fails when the split is wrong.
    #[arg(long)]
    once: bool,
    /// Requests for each of the two splits.
    #[arg(long, default_value_t = 400, value_parser = clap::value_parser!(u32).range(20..=100_000))]
    requests: u32,
    /// Loopback ports even as root.
    #[arg(long)]
    loopback: bool,
    /// What the gateway is told about the kernel: with `off` the answers are the same, with `require` it has to help.
    #[arg(long, default_value = "auto", value_parser = ["auto", "off", "require"])]
    fastpath: String,
}

impl Arguments {
    /// As `--once`.
    pub(crate) fn once() -> Self {
        Self { once: true, requests: 400, loopback: false, fastpath: "auto".to_owned() }
    }

    /// As `--once --fastpath off`.
    pub(crate) fn once_without_the_kernel() -> Self {
        Self { fastpath: "off".to_owned(), ..Self::once() }
    }

    /// As `--once --loopback`.
    pub(crate) fn once_on_loopback() -> Self {
        Self { loopback: true, ..Self::once() }
    }
}

pub(crate) fn run(arguments: &Arguments, interrupt: &Interrupt) -> anyhow::Result<()> {
    eprintln!("{}", styled("1", "Incremental Istio Part 1, without Istio and without sidecars"));
    let root = nix::unistd::geteuid().is_root();
    prepare(root, interrupt)?;

    let mut place: Option<Box<dyn Place>> = None;
    step("network", |_| {
        let (chosen, said) = choose_place(root && !arguments.loopback, interrupt)?;
        place = Some(chosen);
        Ok(said)
    })?;
    let Some(place) = place else { return Ok(()) };
    let mut cluster = Cluster::start(place.as_ref(), &arguments.fastpath, interrupt)?;

    let article = Weights { v1: 50, v2: 50, v3: 0 };
    let first = cluster.measure(arguments.requests, interrupt)?;
    println!("\n{}", styled("1", "As the article applies it: 50 % v1, 50 % v2"));
    first.print();

    cluster.show_explain(interrupt)?;
    cluster.show_kernel(interrupt)?;

    let shifted = Weights { v1: 90, v2: 10, v3: 0 };
    let live = cluster.apply(shifted, interrupt)?;
    let second = cluster.measure(arguments.requests, interrupt)?;
    println!("\n{} {}", styled("1", "The weights edited to 90 and 10"), styled("2", &format!("(live {live})")));
    second.print();

    if !arguments.once {
        cluster.show_try();
        eprintln!("{}", styled("2", "Ctrl-C ends the demo and removes everything."));
        interrupt.wait();
    }
    cluster.stop()?;
    verdict(&first, article)?;
    verdict(&second, shifted)
}

/// Tools, the kernel half, the daemon and the backend.
fn prepare(root: bool, interrupt: &Interrupt) -> anyhow::Result<()> {
    let tool = |program, package| Tool { program, package };
    install::tools(
        &[tool("curl", "curl"), tool("jq", "jq"), tool("ip", "iproute2"), tool("setpriv", "util-linux")],
        interrupt,
    )?;
    step("kernel half", |_| {
        if !root {
            return Ok("left out: without root nothing can be loaded".to_owned());
        }
        // The demo is worth seeing without it, as the gateway is worth running without it.
        Ok(match build_ebpf::build(interrupt) {
            Ok(_) => "gw_sockops and gw_msg".to_owned(),
            Err(error) => format!("left out: {error:#}"),
        })
    })?;
    step("daemon", |bar| {
        let mut build = cargo(["build", "--profile", "quick", "--package", "gateway", "--bin", "gateway"]);
        command::watch(&mut build, interrupt, bar)?;
        Ok(relative("gateway"))
    })?;
    step("backend", |bar| {
        let mut build = cargo(["build", "--profile", "quick", "--package", "gateway-tests", "--bin", "reviews"]);
        command::watch(&mut build, interrupt, bar)?;
        Ok(relative("reviews"))
    })
}

fn relative(binary: &str) -> String {
    let path = workspace::quick_binary(binary);
    path.strip_prefix(workspace::root()).unwrap_or(&path).display().to_string()
}

fn choose_place(namespaces: bool, interrupt: &Interrupt) -> anyhow::Result<(Box<dyn Place>, String)> {
    if !namespaces {
        return Ok((Box::new(loopback::Loopback::new()), "loopback ports".to_owned()));
    }
    match namespaces::Namespaces::new(interrupt) {
        Ok(place) => {
            let said = format!("{} namespaces, one bridge", place.count());
            Ok((Box::new(place), said))
        }
        Err(error) => {
            interrupt.check()?;
            Ok((Box::new(loopback::Loopback::new()), format!("loopback ports, because namespaces fail: {error:#}")))
        }
    }
}

fn verdict(split: &Split, weights: Weights) -> anyhow::Result<()> {
    let faults = split.faults(weights);
    ensure!(faults.is_empty(), "the split is wrong: {}", faults.join("; "));
    Ok(())
}
