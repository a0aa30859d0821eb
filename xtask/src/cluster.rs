//! `cluster`: a real Kubernetes on this machine, and Istio beside it.

mod cgroups;
mod control_plane;
mod credentials;
mod daemon;
mod dns;
mod down;
mod images;
mod instance;
mod istio;
mod kubectl;
mod network;
mod node;
mod plan;
mod stage;
mod state;
mod status;
mod turn;
mod up;

use crate::{
    interrupt::Interrupt,
    output::{step, styled},
};
use anyhow::{Context, bail, ensure};
use clap::Subcommand;
use images::Loading;
use instance::Instance;
use kubectl::Kubectl;
use plan::Programs;
use state::State;
use std::{ffi::OsString, os::unix::process::CommandExt, path::PathBuf, time::Instant};
use turn::Turn;

/// A real Kubernetes 1.36 on this machine: each node a network namespace with its own kubelet, containerd and kube-proxy.
///
/// Needs root. Installs, where they are missing, with apt-get: etcd-server, runc, containernetworking-plugins, iptables,
/// conntrack, openssl, iproute2, util-linux, procps, gcc and curl; and builds Kubernetes, containerd and CoreDNS, with --istio also Istio,
/// from their Go modules (about ten minutes, once).
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Several clusters can be up at once.
    #[arg(long, global = true, default_value = "dev")]
    name: String,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Brings the cluster up, with CoreDNS and Istio's custom resource definitions.
    Up {
        #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=9))]
        nodes: u8,
        /// Adds Istio's own control plane and gateway; also to a cluster that is up already.
        #[arg(long)]
        istio: bool,
    },
    /// Removes it and every trace of it, whatever state it is in.
    Down,
    /// Says what is up.
    Status,
    /// Runs kubectl as the cluster's administrator.
    Kubectl {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Loads images, as `docker save` or `buildah push … docker-archive:FILE` writes them, into every node.
    LoadImage {
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

pub(crate) use stage::{Istio, Stage};

pub(crate) fn run(arguments: &Arguments, interrupt: &Interrupt) -> anyhow::Result<()> {
    ensure!(nix::unistd::geteuid().is_root(), "a cluster needs namespaces and cgroups: run this as root");
    let instance = Instance::named(&arguments.name)?;
    match &arguments.verb {
        Verb::Up { nodes, istio } => bring_up(&instance, *nodes, *istio, interrupt),
        Verb::Down => take_down(&instance, interrupt),
        Verb::Status => status::show(&instance, &running(&instance)?, interrupt),
        Verb::Kubectl { arguments } => {
            let state = running(&instance)?;
            // In our place, so that its exit code is ours and Ctrl-C is its own business.
            let failed = Kubectl::new(state.file("kubectl"), &instance).command(arguments).exec();
            Err(failed).context("run kubectl")
        }
        Verb::LoadImage { files } => load_images(&running(&instance)?, files, interrupt),
    }
}

fn bring_up(instance: &Instance, nodes: u8, istio: bool, interrupt: &Interrupt) -> anyhow::Result<()> {
    let began = Instant::now();
    raise(instance, nodes, istio, interrupt)?;
    eprintln!("{}", styled("2", &format!("up after {:.1} s", began.elapsed().as_secs_f64())));
    println!("export KUBECONFIG={}", instance.kubeconfig().display());
    let name = if instance.name() == "dev" { String::new() } else { format!("--name {} ", instance.name()) };
    println!("cargo xtask cluster {name}kubectl get nodes,pods --all-namespaces");
    println!("cargo xtask cluster {name}down");
    Ok(())
}

/// Sees to it that the cluster is up.
fn raise(instance: &Instance, nodes: u8, istio: bool, interrupt: &Interrupt) -> anyhow::Result<()> {
    let programs = Programs::ready(interrupt)?;
    let istio = if istio { Some(istio::Programs::ready(interrupt)?) } else { None };
    let _turn = Turn::wait_for(&instance.prefix(), interrupt)?;
    if let Some(state) = usable(instance)? {
        let up = state.nodes().len();
        ensure!(
            up == usize::from(nodes),
            "cluster {0} is up with {up} nodes, not {nodes}: cargo xtask cluster --name {0} down",
            instance.name()
        );
        eprintln!("Cluster {} is up already", instance.name());
        if let Some(istio) = istio.filter(|_| !state.has_istio()) {
            up::add_istio(instance, state, programs, &istio, interrupt)?;
        }
    } else {
        if down::remains(instance)? {
            step("remains", |_| down::take_down(instance).map(|()| "of an earlier run removed".to_owned()))?;
        }
        if let Err(error) = up::bring_up(instance, nodes, programs, istio.as_ref(), interrupt) {
            // Nobody is helped by half a cluster; what its parts said is in the error.
            return match down::take_down(instance) {
                Ok(()) => Err(error),
                Err(left) => Err(left.context(format!("{error:#}; and then"))),
            };
        }
    }
    Ok(())
}

/// The state of a cluster that is complete, with every process alive.
fn usable(instance: &Instance) -> anyhow::Result<Option<State>> {
    let Some(state) = State::read(instance)? else { return Ok(None) };
    match state.processes().iter().find(|process| !process.is_running) {
        None => Ok(Some(state)),
        Some(ended) => {
            eprintln!("{} of cluster {} has ended; bringing it up anew", ended.name, instance.name());
            Ok(None)
        }
    }
}

fn take_down(instance: &Instance, interrupt: &Interrupt) -> anyhow::Result<()> {
    let _turn = Turn::wait_for(&instance.prefix(), interrupt)?;
    if !down::remains(instance)? {
        eprintln!("There is no cluster {}", instance.name());
        return Ok(());
    }
    step("down", |_| down::take_down(instance).map(|()| format!("nothing of cluster {} is left", instance.name())))
}

fn running(instance: &Instance) -> anyhow::Result<State> {
    State::read(instance)?
        .with_context(|| format!("cluster {0} is not up: cargo xtask cluster --name {0} up", instance.name()))
}

fn load_images(state: &State, files: &[PathBuf], interrupt: &Interrupt) -> anyhow::Result<()> {
    for file in files {
        if !file.is_file() {
            bail!("{} is no file: give it what `buildah push IMAGE docker-archive:FILE` has written", file.display());
        }
        let sockets = state.nodes().iter().filter_map(|node| node["containerd"].as_str());
        let loading: anyhow::Result<Vec<Loading>> =
            sockets.map(|socket| images::load(&state.file("ctr"), socket.as_ref(), file)).collect();
        for load in loading? {
            load.finish()?;
        }
        interrupt.check()?;
        println!("{} is in {} nodes", file.display(), state.nodes().len());
    }
    Ok(())
}
