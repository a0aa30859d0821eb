//! What others need to know of a running cluster, as a JSON file that is written last: where it is missing, the cluster is
//! not complete.

use super::{
    cgroups,
    daemon::{self, Daemon},
    instance::{Instance, Network, Node},
    network,
    plan::Plan,
};
use anyhow::Context;
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The document; its fields are described in docs/cluster.md.
#[derive(Clone, Debug)]
pub(crate) struct State(pub(crate) Value);

/// A process as it is found in the state.
#[derive(Debug)]
pub(crate) struct Recorded {
    pub(crate) name: String,
    pub(crate) is_running: bool,
}

/// The file of `instance`.
pub(crate) fn path(instance: &Instance) -> PathBuf {
    instance.path("state.json")
}

impl State {
    /// Of the cluster that `plan` describes. `nodes` are the first processes of the nodes.
    pub(crate) fn new(plan: &Plan, nodes: &[Daemon], daemons: &[Daemon]) -> anyhow::Result<Self> {
        let instance = &plan.instance;
        let node = |(node, init): (Node, &Daemon)| {
            anyhow::Ok(json!({
                "name": node.name(),
                "address": plan.network.node(node).to_string(),
                "pods": plan.network.pods_of(node),
                "netns": instance.node_namespace(node),
                "netns_file": network::namespace_file(&instance.node_namespace(node)),
                "cgroup": cgroups::of_node(instance, node)?,
                "containerd": instance.containerd_socket(node),
                "process": init.id(),
            }))
        };
        let described: anyhow::Result<Vec<Value>> = Node::first(plan.nodes).zip(nodes).map(node).collect();
        let mut state = Self(json!({
            "name": instance.name(),
            "directory": instance.directory(),
            "logs": instance.logs(),
            "kubeconfig": instance.kubeconfig(),
            "kubectl": plan.programs.kubernetes("kubectl"),
            "ctr": plan.programs.ctr(),
            "network": plan.network.nodes(),
            "host_address": plan.network.host().to_string(),
            "control_plane": {
                "address": plan.network.control().to_string(),
                "apiserver": format!("https://{}:6443", plan.network.control()),
                "netns": instance.control_namespace(),
            },
            "nodes": described?,
            "istio": null,
            "processes": [],
        }));
        state.record(nodes.iter().chain(daemons));
        Ok(state)
    }

    /// Adds running processes.
    pub(crate) fn record<'a>(&mut self, daemons: impl Iterator<Item = &'a Daemon>) {
        let entries = daemons
            .map(|daemon| json!({"name": daemon.name, "pid": daemon.id(), "started": daemon::start_time(daemon.id())}));
        if let Some(processes) = self.0["processes"].as_array_mut() {
            processes.extend(entries);
        }
    }

    /// `None` when the cluster is not up, or did not come up completely.
    pub(crate) fn read(instance: &Instance) -> anyhow::Result<Option<Self>> {
        let path = path(instance);
        match fs::read_to_string(&path) {
            Ok(text) => {
                let state = serde_json::from_str(&text).with_context(|| format!("read {}", path.display()))?;
                Ok(Some(Self(state)))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("read {}", path.display())),
        }
    }

    /// All or nothing.
    pub(crate) fn write(&self, instance: &Instance) -> anyhow::Result<()> {
        let path = path(instance);
        let temporary = path.with_extension("new");
        let text = serde_json::to_string_pretty(&self.0)?;
        fs::write(&temporary, text)
            .and_then(|()| fs::rename(&temporary, &path))
            .with_context(|| format!("write {}", path.display()))
    }

    /// Every process, and whether it is still the one that was started.
    pub(crate) fn processes(&self) -> Vec<Recorded> {
        let recorded = |entry: &Value| {
            let process = entry["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok());
            let started = process.and_then(daemon::start_time);
            Recorded {
                name: entry["name"].as_str().unwrap_or_default().to_owned(),
                is_running: started.is_some() && started == entry["started"].as_u64(),
            }
        };
        self.0["processes"].as_array().into_iter().flatten().map(recorded).collect()
    }

    pub(crate) fn nodes(&self) -> &[Value] {
        self.0["nodes"].as_array().map_or(&[], Vec::as_slice)
    }

    /// # Errors
    /// When the state is not one of ours.
    pub(crate) fn network(&self) -> anyhow::Result<Network> {
        let addresses = self.0["network"].as_str().unwrap_or_default();
        Network::all().find(|network| network.nodes() == addresses).with_context(|| format!("no network: {addresses}"))
    }

    pub(crate) fn has_istio(&self) -> bool {
        !self.0["istio"].is_null()
    }

    /// A path in the state.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        Path::new(self.0[name].as_str().unwrap_or_default()).to_owned()
    }
}
