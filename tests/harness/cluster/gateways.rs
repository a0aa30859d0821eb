//! The gateway in the cluster: its DaemonSet, its pods, what they log.

use super::{Cluster, deploy, text};
use crate::wait;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use std::{fs, time::Duration};

const NAMESPACE: &str = "istio-system";
const DAEMON_SET: &str = "daemonset/istio-ingressgateway";
const PODS: &str = "app=istio-ingressgateway,istio=ingressgateway";

/// For whatever a busy machine may take long for.
const PATIENCE: Duration = Duration::from_secs(120);

/// One gateway.
#[derive(Clone, Debug)]
pub struct Gateway {
    pub pod: String,
    pub node: String,
    pub address: String,
    uid: String,
    is_ready: bool,
    is_ending: bool,
}

/// Applies deploy/overlays/local, unless that has been done, and waits for a gateway on every node.
///
/// # Panics
/// When one does not become ready.
pub fn install(cluster: &Cluster) {
    let overlay = deploy().join("overlays/local");
    // As `cargo xtask test` does, where it has installed the gateway already.
    cluster.kubectl(&["apply", "--server-side", "--force-conflicts", "-k", &overlay.display().to_string()]);
    rolled_out(cluster);
}

/// Waits until every node has a ready gateway of the current template.
///
/// # Panics
/// When that takes too long; says what the pods say.
pub fn rolled_out(cluster: &Cluster) {
    let waited = cluster.try_kubectl(&["rollout", "status", DAEMON_SET, "-n", NAMESPACE, "--timeout=120s"], None);
    if let Err(error) = waited {
        let pods = cluster.kubectl(&["describe", "pods", "-n", NAMESPACE, "-l", PODS]);
        let logs = cluster.kubectl(&["logs", "-n", NAMESPACE, "-l", PODS, "--tail=20", "--prefix"]);
        panic!("the gateways do not become ready: {error}\n{pods}\n{logs}");
    }
}

impl Gateway {
    /// Every gateway pod, those that end too.
    pub fn all(cluster: &Cluster) -> Vec<Self> {
        let pods = cluster.get(&["pods", "-n", NAMESPACE, "-l", PODS]);
        pods["items"].as_array().into_iter().flatten().map(Self::read).collect()
    }

    fn read(pod: &Value) -> Self {
        let conditions = pod["status"]["conditions"].as_array();
        let is_true = |kind: &str| {
            conditions.is_some_and(|all| all.iter().any(|one| one["type"] == kind && one["status"] == "True"))
        };
        Self {
            pod: text(&pod["metadata"]["name"]),
            node: text(&pod["spec"]["nodeName"]),
            address: text(&pod["status"]["podIP"]),
            uid: text(&pod["metadata"]["uid"]),
            is_ready: is_true("Ready"),
            is_ending: !pod["metadata"]["deletionTimestamp"].is_null(),
        }
    }

    /// The ready gateway of `node`.
    ///
    /// # Panics
    /// When there is none for long.
    pub fn of(cluster: &Cluster, node: &str) -> Self {
        wait::until(&format!("a ready gateway on {node}"), PATIENCE, || {
            Self::all(cluster).into_iter().find(|one| one.node == node && one.is_ready && !one.is_ending)
        })
    }

    /// A new gateway on `node`: the kubelet starts a container again at once only when it fails for the first time.
    ///
    /// # Panics
    /// When it does not become ready.
    pub fn fresh(cluster: &Cluster, node: &str) -> Self {
        let old = Self::of(cluster, node);
        cluster.kubectl(&["-n", NAMESPACE, "delete", "pod", &old.pod, "--wait=false"]);
        let fresh = wait::until(&format!("a new gateway on {node}"), PATIENCE, || {
            let ready = |one: &Self| one.node == node && one.is_ready && !one.is_ending && one.pod != old.pod;
            Self::all(cluster).into_iter().find(ready)
        });
        Self::until_none_is_ending(cluster);
        fresh
    }

    /// Waits until no gateway is ending any more, so that what they did has been logged and counted.
    pub fn until_none_is_ending(cluster: &Cluster) {
        wait::until("the ending gateways to be gone", PATIENCE, || {
            Self::all(cluster).iter().all(|one| !one.is_ending).then_some(())
        });
    }

    /// Its access log so far: the lines that contain `word`.
    pub fn logged(&self, cluster: &Cluster, word: &str) -> Vec<String> {
        let logs = cluster.kubectl(&["logs", "-n", NAMESPACE, &self.pod]);
        logs.lines().filter(|line| line.contains(word)).map(str::to_owned).collect()
    }

    /// Whether the kubelet would hear that it is ready; false while nobody answers.
    pub fn answers_ready(&self, cluster: &Cluster) -> bool {
        let path = format!("/api/v1/namespaces/{NAMESPACE}/pods/{}:15021/proxy/healthz/ready", self.pod);
        cluster.try_kubectl(&["get", "--raw", &path], None).is_ok()
    }

    /// `kill -9` of its process, found on this machine by the pod's cgroup.
    ///
    /// # Panics
    /// When the pod does not run on this machine.
    pub fn kill(&self) {
        let process = self.process().expect("the gateway's process is on this machine");
        kill(Pid::from_raw(process), Signal::SIGKILL).expect("a process of the cluster");
    }

    /// The id of its process on this machine.
    pub fn process(&self) -> Option<i32> {
        let processes = fs::read_dir("/proc").expect("/proc");
        processes.flatten().find_map(|entry| {
            let id = entry.file_name().to_str()?.parse::<i32>().ok()?;
            let name = fs::read_to_string(entry.path().join("comm")).ok()?;
            let groups = fs::read_to_string(entry.path().join("cgroup")).ok()?;
            // The systemd driver writes pod ids with underscores.
            let is_in_pod = groups.contains(&self.uid) || groups.contains(&self.uid.replace('-', "_"));
            (name.trim_end() == "gateway" && is_in_pod).then_some(id)
        })
    }
}
