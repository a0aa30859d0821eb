//! `compare`: Istio's own gateway as the judge of ours.

use crate::{
    cluster::{Istio, Stage},
    command::{self, cargo},
    image::Profile,
    interrupt::Interrupt,
};
use anyhow::bail;
use std::path::PathBuf;

/// Puts the same objects and requests before Istio's gateway and ours, and compares every answer, every request a pod
/// receives, and the routing tables.
///
/// Brings a cluster with both up and takes it down again; installs and builds what `cluster up --istio` and `image` say.
/// Fails on a difference that docs/istio-differences.md does not explain. Without options: every case of tests/istio and
/// 2,000 random requests in 100 random worlds. The last line counts: cases, requests, differences.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only the random worlds of these seeds; a world that differs is made small and printed as a case.
    #[arg(long, value_name = "FROM:TO")]
    seeds: Option<String>,
    /// Only cases whose name contains this (repeatable).
    #[arg(long = "case", value_name = "NAME")]
    cases: Vec<String>,
    /// Random requests over all worlds.
    #[arg(long, value_name = "N", default_value_t = 2000)]
    requests: usize,
    /// A cluster that has both gateways already; it is left up.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments, interrupt: &Interrupt) -> anyhow::Result<()> {
    let stage = match &arguments.kubeconfig {
        Some(kubeconfig) => Stage::borrowed(kubeconfig, interrupt)?,
        None => Stage::set(Istio::Beside, Profile::Quick, interrupt)?,
    };
    let mut test = cargo(["test", "--package", "gateway-tests", "--test", "istio", "--"]);
    test.envs(stage.environment().iter().map(|(name, value)| (name, value)));
    test.args(arguments.seeds.iter().flat_map(|seeds| ["--seeds", seeds]));
    test.args(arguments.cases.iter().flat_map(|case| ["--case", case]));
    test.args(["--requests", &arguments.requests.to_string()]);
    let status = command::stream(&mut test, interrupt, |line| println!("{line}"))?;
    drop(stage);
    if status.success() { Ok(()) } else { bail!("the gateways differ, see above") }
}
