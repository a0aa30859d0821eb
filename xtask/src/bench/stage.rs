//! Everybody who is compared, running side by side: each with the same workers, CPUs and pods.

use super::{
    cells::Bench,
    configuration::{certificate, fill},
    contender::{AGAIN, Contender, DIRECT, ENVOY, Entrance, HAPROXY, INSIDE, NGINX, OURS_S, OURS_U},
    place::{Place, Side},
    pods,
    program::{Cpu, Program, Start},
};
use crate::output::progress;
use anyhow::Context;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Where ours are asked what they know, in their namespace.
pub(super) const ADMIN_S: &str = "127.0.0.1:15000";
const ADMIN_U: &str = "127.0.0.1:15001";

/// How the CPUs are shared out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Setting {
    /// Load and pods on CPU 0, everybody who is compared on CPU 1 with one worker.
    Pinned,
    /// Everybody where the scheduler puts them, with two workers.
    Free,
}

/// Everything that runs.
pub(super) struct Stage<'a> {
    pub(super) place: &'a Place,
    pub(super) setting: Setting,
    contenders: Vec<Contender>,
    /// Who could not be started, and why.
    absent: Vec<(&'static str, String)>,
    programs: Vec<Program>,
}

impl Setting {
    pub(super) fn workers(self) -> u32 {
        match self {
            Self::Pinned => 1,
            Self::Free => 2,
        }
    }

    fn device(self) -> Cpu {
        match self {
            Self::Pinned => Cpu::Device,
            Self::Free => Cpu::Any,
        }
    }

    pub(super) fn load(self) -> Cpu {
        match self {
            Self::Pinned => Cpu::Load,
            Self::Free => Cpu::Any,
        }
    }
}

impl<'a> Stage<'a> {
    /// Starts everybody. Who does not start is absent with a reason; only the pods must.
    pub(super) fn set(bench: &Bench<'a>, setting: Setting) -> anyhow::Result<Self> {
        let mut stage =
            Self { place: bench.place, setting, contenders: Vec::new(), absent: Vec::new(), programs: Vec::new() };
        let bar = progress("contenders", 7);
        certificate(bench.place.directory())?;
        for side in [Side::Outside, Side::Inside] {
            stage.programs.extend(pods::start(bench, setting, side)?);
            bar.inc(1);
        }
        for name in [DIRECT, AGAIN] {
            stage.contenders.push(Contender { name, process: None, side: Side::Outside });
        }
        stage.contenders.push(Contender { name: INSIDE, process: None, side: Side::Inside });
        for name in [OURS_U, OURS_S, ENVOY, HAPROXY, NGINX] {
            match stage.start(bench, name) {
                Ok(contender) => stage.contenders.push(contender),
                Err(error) => {
                    bench.interrupt.check()?;
                    eprintln!("{name} does not take part: {error:#}");
                    stage.absent.push((name, format!("{error:#}")));
                }
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok(stage)
    }

    /// Those of `names` that run and speak what `entrance` wants, in that order.
    pub(super) fn choose(&self, names: &[&str], entrance: Entrance) -> Vec<Contender> {
        let of = |name: &&str| self.contenders.iter().find(|contender| contender.name == *name);
        names
            .iter()
            .filter_map(of)
            .filter(|contender| contender.address_for(entrance, "/").is_some())
            .cloned()
            .collect()
    }

    /// Who could not be started, and why.
    pub(super) fn absent(&self) -> &[(&'static str, String)] {
        &self.absent
    }

    fn start(&mut self, bench: &Bench<'_>, name: &'static str) -> anyhow::Result<Contender> {
        let tools = bench.tools;
        let workers = self.setting.workers();
        let text = |path: PathBuf| path.display().to_string();
        let config = |file: &str| fill(self.place, self.setting, file, file, &[]).map(text);
        let (program, arguments, cgroup) = match name {
            OURS_S => (tools.gateway.clone(), self.ours(name)?, Some(self.place.cgroup.gateway())),
            OURS_U => (tools.gateway.clone(), self.ours(name)?, None),
            ENVOY => {
                let envoy = tools.envoy.clone().map_err(anyhow::Error::msg)?;
                (envoy, envoy_arguments(&config("envoy.yaml")?, workers), None)
            }
            HAPROXY => {
                let haproxy = tools.haproxy.clone().map_err(anyhow::Error::msg)?;
                (haproxy, vec!["-f".to_owned(), config("haproxy.cfg")?], None)
            }
            _ => {
                let nginx = tools.nginx.clone().map_err(anyhow::Error::msg)?;
                (nginx, vec!["-c".to_owned(), config("nginx.conf")?], None)
            }
        };
        let start = Start { name, program: &program, arguments: &arguments, cpu: self.setting.device(), cgroup };
        let mut program = self.place.on_node(&start)?;
        let side = if name == OURS_S { Side::Inside } else { Side::Outside };
        let contender = Contender { name, process: Some(program.id()), side };
        let address = contender.address(Entrance::Http1).context("everybody speaks HTTP/1")?;
        program.until_listening(self.place, &address, bench.interrupt)?;
        self.programs.push(program);
        Ok(contender)
    }

    /// The arguments of one of ours, and its objects on disk.
    fn ours(&self, name: &str) -> anyhow::Result<Vec<String>> {
        let (mode, admin, [port, tls, http2], side) = if name == OURS_S {
            ("require", ADMIN_S, [8080, 8380, 8280], Side::Inside)
        } else {
            ("off", ADMIN_U, [8090, 8390, 8290], Side::Outside)
        };
        let pods = side.ports();
        let directory = self.place.directory().join(name);
        fs::create_dir_all(&directory).with_context(|| format!("create {}", directory.display()))?;
        let more: [(&str, u16); 6] =
            [("PORT", port), ("TLS", tls), ("H2", http2), ("V1", pods.v1), ("V2", pods.v2), ("V1_H2", pods.v1_http2)];
        let more = more.map(|(key, port)| (key, port.to_string()));
        for file in ["ours.yaml", "ours-protocols.yaml"] {
            fill(self.place, self.setting, file, &format!("{name}/{file}"), &more)?;
        }
        Ok(our_arguments(self.place, &directory, self.setting.workers(), mode, admin))
    }
}

/// Envoy alone, as it is among the others.
pub(super) fn envoy_alone(bench: &Bench<'_>) -> anyhow::Result<(Program, Contender)> {
    certificate(bench.place.directory())?;
    let envoy = bench.tools.envoy.clone().map_err(anyhow::Error::msg)?;
    let config = fill(bench.place, Setting::Pinned, "envoy.yaml", "envoy.yaml", &[])?;
    let arguments = envoy_arguments(&config.display().to_string(), 1);
    let start = Start { name: ENVOY, program: &envoy, arguments: &arguments, cpu: Cpu::Device, cgroup: None };
    let mut program = bench.place.on_node(&start)?;
    let contender = Contender { name: ENVOY, process: Some(program.id()), side: Side::Outside };
    let address = contender.address(Entrance::Http1).context("Envoy speaks HTTP/1")?;
    program.until_listening(bench.place, &address, bench.interrupt)?;
    Ok((program, contender))
}

/// Log off, and no socket shared with an Envoy before it.
pub(super) fn envoy_arguments(config: &str, workers: u32) -> Vec<String> {
    let workers = workers.to_string();
    ["-c", config, "--concurrency", &workers, "-l", "error", "--disable-hot-restart"].map(str::to_owned).to_vec()
}

/// `gateway run` with the objects of a directory.
pub(super) fn our_arguments(place: &Place, objects: &Path, workers: u32, mode: &str, admin: &str) -> Vec<String> {
    let (objects, workers) = (objects.display().to_string(), workers.to_string());
    let cgroup = place.cgroup.root().display().to_string();
    let all = [
        "run",
        "-f",
        &objects,
        "--workers",
        &workers,
        "--readiness",
        "off",
        "--metrics",
        "off",
        "--drain-announce-seconds",
        "0",
        "--drain-seconds",
        "1",
        "--fastpath",
        mode,
        "--fastpath-cgroup",
        &cgroup,
        "--admin",
        admin,
    ];
    all.map(str::to_owned).to_vec()
}
