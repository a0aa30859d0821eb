//! kubelet and kube-proxy.

use super::place;
use crate::cluster::{
    credentials::kubeconfig,
    daemon::{self, Daemon, Program},
    instance::{DNS_SERVICE, Node},
    plan::Plan,
};
use anyhow::Context;
use serde_json::json;
use std::fs;

/// kubelet and kube-proxy of `node`, whose first process is `init`.
pub(crate) fn start_agents(plan: &Plan, node: Node, init: u32) -> anyhow::Result<[Daemon; 2]> {
    let directory = plan.instance.node_directory(node);
    let file = |name: &str| directory.join(name).display().to_string();
    let write =
        |name: &str, text: String| fs::write(directory.join(name), text).with_context(|| format!("write {name}"));
    write("resolv.conf", format!("nameserver {}\n", plan.network.control()))?;
    let kubelet = json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
        "authentication": {"anonymous": {"enabled": true}, "webhook": {"enabled": false}},
        "authorization": {"mode": "AlwaysAllow"},
        "containerRuntimeEndpoint": format!("unix://{}", plan.instance.containerd_socket(node).display()),
        "clusterDNS": [DNS_SERVICE.to_string()], "clusterDomain": "cluster.local", "resolvConf": file("resolv.conf"),
        "cgroupDriver": "cgroupfs", "failCgroupV1": false, "enforceNodeAllocatable": [], "failSwapOn": false,
        // The disk is the developer's, and so is the decision what to remove from it.
        "evictionHard": {"nodefs.available": "1%", "imagefs.available": "1%"}, "imageGCHighThresholdPercent": 100,
        "podLogsDir": file("pod-logs"), "volumePluginDir": file("volume-plugins"),
    });
    write("kubelet.json", kubelet.to_string())?;
    let proxy = json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration",
        "mode": "iptables", "clusterCIDR": plan.network.pods(), "hostnameOverride": node.name(),
        "clientConnection": {"kubeconfig": kubeconfig(plan, "proxy")},
        // The table's size is one for the whole kernel.
        "conntrack": {"maxPerCore": 0},
    });
    write("kube-proxy.json", proxy.to_string())?;

    let place = place(plan, node, init)?;
    let start = |program: &str, arguments: Vec<String>| {
        let (name, path) = (format!("{}-{program}", node.name()), plan.programs.kubernetes(program));
        daemon::start(&plan.instance, &place, Program { name: &name, path: &path, arguments, environment: Vec::new() })
    };
    Ok([
        start(
            "kubelet",
            vec![
                format!("--config={}", file("kubelet.json")),
                format!("--kubeconfig={}", kubeconfig(plan, &node.name()).display()),
                format!("--root-dir={}", file("kubelet")),
                format!("--cert-dir={}", file("kubelet-certificates")),
                format!("--hostname-override={}", node.name()),
                format!("--node-ip={}", plan.network.node(node)),
                format!("--node-labels=topology.kubernetes.io/region=here,topology.kubernetes.io/zone=zone{}", node.0),
            ],
        )?,
        start("kube-proxy", vec![format!("--config={}", file("kube-proxy.json"))])?,
    ])
}
