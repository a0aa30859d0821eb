//! A node: namespaces of its own for network, mounts and cgroups, and in them what runs on a real one.
//!
//! With a cgroup namespace, `/sys/fs/cgroup` in a node is the node's own part of the hierarchy, and with a mount namespace
//! `/sys/fs/bpf` and `/run` are its own too. A DaemonSet that mounts them from its host finds what it would find on a real
//! node, and two nodes do not attach or pin things in each other's way, although they share a kernel. All of it ends with
//! the last process of the node.

mod agents;
mod runtime;

pub(crate) use agents::start_agents;
pub(crate) use runtime::start_runtime;

use super::{
    cgroups::{self, Kind},
    daemon::{self, Daemon, Place, Program},
    images,
    instance::{Instance, Node},
    network,
    plan::Plan,
};
use anyhow::Context;
use std::{
    fs,
    path::{Path, PathBuf},
};

const INIT: &str = include_str!("node/init.sh");

/// The first process of `node`, which holds its namespaces.
pub(crate) fn start_init(plan: &Plan, node: Node) -> anyhow::Result<Daemon> {
    let directory = plan.instance.node_directory(node);
    fs::create_dir_all(&directory).with_context(|| format!("create {}", directory.display()))?;
    let script = directory.join("init.sh");
    fs::write(&script, INIT).with_context(|| format!("write {}", script.display()))?;
    let below = format!("{}/", node.name());
    let cgroups = cgroups::everywhere(&plan.instance, &below)?;
    let namespace = network::namespace_file(&plan.instance.node_namespace(node));
    let place = Place::new(cgroups, &[format!("--net={namespace}")]);
    let mut arguments: Vec<String> =
        ["--mount", "--cgroup", "--propagation", "slave", "--", "sh"].map(str::to_owned).to_vec();
    arguments.push(script.display().to_string());
    arguments.push(plan.instance.directory().display().to_string());
    arguments.push(ready_file(&plan.instance, node).display().to_string());
    arguments.push(images::pause_program(&plan.instance).display().to_string());
    for hierarchy in cgroups::hierarchies()? {
        let (kind, options) = match &hierarchy.kind {
            Kind::Unified => ("cgroup2", ""),
            Kind::Legacy(options) => ("cgroup", options.as_str()),
        };
        arguments.push(format!("{}:{kind}:{options}", hierarchy.mount_point.display()));
    }
    let name = format!("{}-init", node.name());
    let program = Program { name: &name, path: Path::new("/usr/bin/unshare"), arguments, environment: Vec::new() };
    daemon::start(&plan.instance, &place, program)
}

/// Whether the namespaces are as the other processes of the node need them.
pub(crate) fn is_prepared(instance: &Instance, node: Node) -> bool {
    ready_file(instance, node).exists()
}

fn ready_file(instance: &Instance, node: Node) -> PathBuf {
    instance.node_directory(node).join("prepared")
}

/// Where the other processes of a node run; `init` is its first.
fn place(plan: &Plan, node: Node, init: u32) -> anyhow::Result<Place> {
    let system = format!("{}/{}", node.name(), cgroups::SYSTEM);
    let cgroups = cgroups::everywhere(&plan.instance, &system)?;
    Ok(Place::new(cgroups, &[format!("--target={init}"), "--mount".into(), "--cgroup".into(), "--net".into()]))
}
