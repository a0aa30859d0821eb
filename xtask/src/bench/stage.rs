//! Everybody who is compared, running side by side: each with the same workers, CPUs and pods.

use super::{
    cells::Bench,
    configuration::{certificate, fill, pods},
    contender::{AGAIN, Contender, DIRECT, ENVOY, Entrance, HAPROXY, INSIDE, NGINX, OURS_S, OURS_U},
    place::{PODS, Place, Side},
    program::{Cpu, Program, Start},
    tools,
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
        for (side, name, ports, http2) in [
            (Side::Outside, "pods-outside", (9011, 9012), Some(9013)),
            (Side::Inside, "pods-inside", (9001, 9002), Some(9003)),
        ] {
            stage.start_pods(bench, side, name, ports, http2)?;
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
        names.iter().filter_map(of).filter(|contender| contender.address(entrance).is_some()).cloned().collect()
    }

    /// Who could not be started, and why.
    pub(super) fn absent(&self) -> &[(&'static str, String)] {
        &self.absent
    }

    fn start_pods(
        &mut self,
        bench: &Bench<'_>,
        side: Side,
        name: &str,
        ports: (u16, u16),
        http2: Option<u16>,
    ) -> anyhow::Result<()> {
        let nginx = bench.tools.nginx.clone().map_err(anyhow::Error::msg).context("the pods are nginx")?;
        let config = pods(self.place, self.setting, name, ports, http2)?;
        let arguments = ["-c".to_owned(), config.display().to_string()];
        let (cpu, cgroup) = (self.setting.load(), side.cgroup(self.place));
        let start = Start { name, program: &nginx, arguments: &arguments, cpu, cgroup };
        let mut program = self.place.among_pods(&start)?;
        program.until_listening(self.place, &format!("{PODS}:{}", ports.0), bench.interrupt)?;
        self.programs.push(program);
        Ok(())
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
                let module = Path::new(tools::NGINX_STREAM);
                if module.is_file() {
                    let more = [("MODULE", tools::NGINX_STREAM.to_owned())];
                    fill(self.place, self.setting, "nginx-stream.conf", "nginx-stream.conf", &more)?;
                }
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
        let (mode, admin, ports) = if name == OURS_S {
            ("require", ADMIN_S, ["8080", "8380", "8280", "8480", "9001", "9002", "9003"])
        } else {
            ("off", ADMIN_U, ["8090", "8390", "8290", "8490", "9011", "9012", "9013"])
        };
        let directory = self.place.directory().join(name);
        fs::create_dir_all(&directory).with_context(|| format!("create {}", directory.display()))?;
        let keys = ["PORT", "TLS", "H2", "TCP", "V1", "V2", "V1_H2"];
        let more: Vec<_> = keys.into_iter().zip(ports.map(str::to_owned)).collect();
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
