//! The pods behind everybody who is compared, in two subsets.
//!
//! v1 is nginx, with bodies of every size and HTTP/2. v2 answers every request from memory at next to no cost: load and
//! pods share a CPU, and a gateway cannot be seen to be faster than they are.

use super::{
    cells::Bench,
    configuration::{pods, small_answer},
    place::{PODS, Side},
    program::{Program, Start},
    stage::Setting,
};
use anyhow::Context;
use std::path::Path;

/// Ports that nothing of ours leads to, so that who is compared with us pays nothing for our programs.
pub(super) const OUTSIDE: Ports = Ports { v1: 9011, v2: 9012, v1_http2: 9013 };
/// Ports of pods whose connections our programs see.
const INSIDE: Ports = Ports { v1: 9001, v2: 9002, v1_http2: 9003 };

/// Where the pods of one side listen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ports {
    pub(super) v1: u16,
    pub(super) v2: u16,
    pub(super) v1_http2: u16,
}

impl Side {
    pub(super) fn ports(self) -> Ports {
        match self {
            Self::Inside => INSIDE,
            Self::Outside => OUTSIDE,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Inside => "inside",
            Self::Outside => "outside",
        }
    }
}

/// Starts both subsets and returns once they listen.
pub(super) fn start(bench: &Bench<'_>, setting: Setting, side: Side) -> anyhow::Result<[Program; 2]> {
    let (ports, place) = (side.ports(), bench.place);
    let nginx = bench.tools.nginx.clone().map_err(anyhow::Error::msg).context("the pods of v1 are nginx")?;
    let name = format!("v1-{}", side.name());
    let arguments = ["-c".to_owned(), pods(place, setting, &name, ports)?.display().to_string()];
    let v1 = one(bench, (setting, side), &name, &nginx, &arguments, ports.v1)?;
    let answer = small_answer(place)?.display().to_string();
    let (listen, workers) = (format!("{PODS}:{}", ports.v2), setting.workers().to_string());
    let arguments = ["--listen", &listen, "--workers", &workers, "--answer", &answer].map(str::to_owned);
    let v2 = one(bench, (setting, side), &format!("v2-{}", side.name()), &bench.tools.pod, &arguments, ports.v2)?;
    Ok([v1, v2])
}

fn one(
    bench: &Bench<'_>,
    (setting, side): (Setting, Side),
    name: &str,
    program: &Path,
    arguments: &[String],
    port: u16,
) -> anyhow::Result<Program> {
    let (cpu, cgroup) = (setting.load(), side.cgroup(bench.place));
    let mut program = bench.place.among_pods(&Start { name, program, arguments, cpu, cgroup })?;
    program.until_listening(bench.place, &format!("{PODS}:{port}"), bench.interrupt)?;
    Ok(program)
}
