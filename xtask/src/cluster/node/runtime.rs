//! containerd, and how it connects pods.

use super::place;
use crate::cluster::{
    daemon::{self, Daemon, Program},
    images,
    instance::Node,
    plan::{CNI_PLUGINS, Plan},
};
use anyhow::Context;
use std::fs;

/// containerd of `node`, whose first process is `init`.
pub(crate) fn start_runtime(plan: &Plan, node: Node, init: u32) -> anyhow::Result<Daemon> {
    let directory = plan.instance.node_directory(node);
    let networks = directory.join("cni");
    fs::create_dir_all(&networks).with_context(|| format!("create {}", networks.display()))?;
    // No masquerading: nodes know the way to each other's pods.
    let network = serde_json::json!({
        "cniVersion": "1.0.0", "name": plan.instance.prefix(),
        "plugins": [
            {
                "type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": false, "hairpinMode": true,
                "ipam": {
                    "type": "host-local", "ranges": [[{"subnet": plan.network.pods_of(node)}]],
                    "dataDir": "/run/cni/ipam", "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": true}},
        ],
    });
    fs::write(networks.join("10-pods.conflist"), network.to_string()).context("write the pods' network")?;

    let configuration = directory.join("containerd.toml");
    let text = format!(
        r#"version = 3
root = "{directory}/containerd"
state = "/run/containerd"
[grpc]
  address = "{socket}"
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = "{pause}"
[plugins.'io.containerd.cri.v1.runtime']
  # Where root lacks CAP_SYS_RESOURCE, as in many containers, nobody can lower the score.
  restrict_oom_score_adj = true
[plugins.'io.containerd.cri.v1.runtime'.cni]
  bin_dirs = ["{CNI_PLUGINS}"]
  conf_dir = "{networks}"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
  [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
    SystemdCgroup = false
[plugins.'io.containerd.internal.v1.opt']
  path = "{directory}/opt"
"#,
        directory = directory.display(),
        networks = networks.display(),
        socket = plan.instance.containerd_socket(node).display(),
        pause = images::PAUSE,
    );
    fs::write(&configuration, text).with_context(|| format!("write {}", configuration.display()))?;

    let name = format!("{}-containerd", node.name());
    let program = Program {
        name: &name,
        path: &plan.programs.containerd(),
        arguments: vec!["--config".to_owned(), configuration.display().to_string()],
        environment: Vec::new(),
    };
    daemon::start(&plan.instance, &place(plan, node, init)?, program)
}
