//! The programs that a run needs: built, installed or named as missing.

use crate::{
    build_ebpf,
    command::{cargo, output, run},
    image::{self, Profile},
    install::{self, Tool},
    interrupt::Interrupt,
    programs, workspace,
};
use anyhow::{Context, bail};
use std::{
    path::{Path, PathBuf},
    process::Command,
    thread,
};

/// Where the programs are; of peers, why they are not.
#[derive(Clone, Debug)]
pub(super) struct Tools {
    pub(super) gateway: PathBuf,
    pub(super) client: PathBuf,
    /// A pod that costs next to nothing.
    pub(super) pod: PathBuf,
    pub(super) envoy: Result<PathBuf, String>,
    pub(super) haproxy: Result<PathBuf, String>,
    pub(super) nginx: Result<PathBuf, String>,
    /// What they say of themselves.
    pub(super) versions: Vec<(&'static str, String)>,
}

/// What nginx passes TCP on with.
pub(super) const NGINX_STREAM: &str = "/usr/lib/nginx/modules/ngx_stream_module.so";

const TOOLS: [Tool; 10] = [
    Tool { program: "ip", package: "iproute2" },
    Tool { program: "taskset", package: "util-linux" },
    Tool { program: "wrk", package: "wrk" },
    Tool { program: "h2load", package: "nghttp2-client" },
    Tool { program: "nginx", package: "nginx-full" },
    Tool { program: NGINX_STREAM, package: "libnginx-mod-stream" },
    Tool { program: "haproxy", package: "haproxy" },
    Tool { program: "openssl", package: "openssl" },
    Tool { program: "bpftool", package: "bpftool" },
    Tool { program: "valgrind", package: "valgrind" },
];

impl Tools {
    /// Installs and builds what is missing; `everything` that the cells of a whole run need, so that nothing is left to
    /// build between them. A peer that cannot be had is a reason, not an error.
    pub(super) fn ready(profile: Profile, everything: bool, interrupt: &Interrupt) -> anyhow::Result<Self> {
        for tool in TOOLS {
            // One by one: a package that cannot be had takes only its own cells with it.
            if let Err(error) = install::tools(&[tool], interrupt) {
                interrupt.check()?;
                eprintln!("{} is missing: {error:#}", tool.program);
            }
        }
        if let Err(error) = build_ebpf::build(interrupt) {
            interrupt.check()?;
            eprintln!("the BPF object is missing, and with it every figure of ours_s: {error:#}");
        }
        // The linker is busy with the daemon for minutes, on one CPU; the other is there for what is built otherwise.
        let (gateway, others) = thread::scope(|scope| {
            let others = scope.spawn(|| others(everything, interrupt));
            let another = everything.then_some(("gateway-bench", "bench-routing"));
            let gateway = image::daemon_and(another, &workspace::root(), profile, interrupt);
            (gateway, others.join().unwrap_or_else(|_| bail!("building the client and the pods ended in a panic")))
        });
        let (gateway, [client, pod]) = (gateway?, others?);
        let envoy = programs::envoy(interrupt).map_err(|error| format!("{error:#}"));
        interrupt.check()?;
        let found = |name: &str| install::find(name).with_context(|| format!("{name} is not installed"));
        let [haproxy, nginx] = ["haproxy", "nginx"].map(|name| found(name).map_err(|error| format!("{error:#}")));
        let mut tools = Self { gateway, client, pod, envoy, haproxy, nginx, versions: Vec::new() };
        tools.versions = tools.say_versions(interrupt);
        Ok(tools)
    }

    fn say_versions(&self, interrupt: &Interrupt) -> Vec<(&'static str, String)> {
        let asked = [
            ("gateway", Some(&self.gateway), "--version"),
            ("envoy", self.envoy.as_ref().ok(), "--version"),
            ("haproxy", self.haproxy.as_ref().ok(), "-v"),
            ("nginx", self.nginx.as_ref().ok(), "-v"),
            ("wrk", install::find("wrk").as_ref(), "-v"),
            ("h2load", install::find("h2load").as_ref(), "--version"),
        ]
        .map(|(name, program, flag)| Some((name, said(program?, flag, interrupt)?)));
        asked.into_iter().flatten().collect()
    }
}

/// What does not have the daemon's profile.
fn others(everything: bool, interrupt: &Interrupt) -> anyhow::Result<[PathBuf; 2]> {
    let ours = ours(interrupt)?;
    if everything && let Err(error) = image::test_pods(Profile::Quick, interrupt) {
        interrupt.check()?;
        eprintln!("the pods of the cluster are missing: {error:#}");
    }
    Ok(ours)
}

/// What is not the gateway: our open loop and whatever else has to be exact, and the pod.
pub(super) fn ours(interrupt: &Interrupt) -> anyhow::Result<[PathBuf; 2]> {
    eprintln!("Building the client and the pod");
    let programs = ["bench-client", "bench-pod"];
    let mut build = cargo(["build", "--quiet", "--profile", "quick", "--package", "gateway-tests"]);
    run(build.args(programs.iter().flat_map(|program| ["--bin", program])), interrupt)?;
    Ok(programs.map(workspace::quick_binary))
}

/// The first line with a number in it that a program prints about itself, wherever it prints it.
fn said(program: &Path, flag: &str, interrupt: &Interrupt) -> Option<String> {
    // wrk and nginx print to standard error, and wrk leaves with 1.
    let mut shell = Command::new("sh");
    shell.args(["-c", r#""$0" "$1" 2>&1; true"#]).arg(program).arg(flag);
    let text = output(&mut shell, interrupt).ok()?;
    let line = text.lines().find(|line| line.chars().any(|letter| letter.is_ascii_digit()))?.trim();
    let path = program.display().to_string();
    // Envoy begins with its path, which is nobody's business.
    let line = line.strip_prefix(&path).unwrap_or(line).trim();
    Some(line.split(" https://").next().unwrap_or(line).split(" Copyright").next().unwrap_or(line).trim().to_owned())
}
