//! Thousands of Services with a pod each, on nodes that only the API server knows: kwok is their kubelet.

use crate::lab;
use anyhow::ensure;
use harness::{kubernetes::Objects, process::Process};
use serde_json::{Value, json};
use std::{
    path::Path,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant},
};
use tempfile::TempDir;

const NODES: usize = 50;
const NAMESPACE: &str = "figures-crowd";

/// In place of the kubelets'.
const STAGES: &str = include_str!("kwok.yaml");

/// Of pods that nobody can reach: for benchmarks, RFC 2544. No request is ever sent to a route that leads to them.
const ADDRESSES: &str = "198.18.0.1/15";

/// For what takes a machine that has nothing else to do two minutes.
const PATIENCE: Duration = Duration::from_secs(900);

/// Between two long lists.
const LOOK: Duration = Duration::from_secs(1);

/// Between two pods that go and come back.
const BETWEEN_PODS: Duration = Duration::from_millis(100);

/// Nodes, pods and Services. Dropped, they go, and kwok with them.
pub(super) struct Crowd {
    objects: Objects,
    number: usize,
    kwok: Process,
    // Last: kwok ends before its files go.
    _directory: TempDir,
}

impl Crowd {
    /// `number` Services, each with an endpoint.
    pub(super) fn gather(kwok: &Path, kubeconfig: &Path, number: usize) -> anyhow::Result<Self> {
        let directory = tempfile::tempdir()?;
        let stages = directory.path().join("kwok.yaml");
        std::fs::write(&stages, STAGES)?;
        let arguments = [
            format!("--config={}", stages.display()),
            format!("--kubeconfig={}", kubeconfig.display()),
            "--manage-all-nodes=false".to_owned(),
            "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake".to_owned(),
            format!("--cidr={ADDRESSES}"),
            // Without one the nodes count as lost after a minute, and their pods as not ready.
            "--node-lease-duration-seconds=40".to_owned(),
            "--server-address=".to_owned(),
        ];
        let process = Process::start("kwok", directory.path(), kwok, &arguments, &[]);
        let mut crowd = Self { objects: Objects::connect(kubeconfig), number, kwok: process, _directory: directory };
        crowd.create()?;
        Ok(crowd)
    }

    fn create(&mut self) -> anyhow::Result<()> {
        self.apply((0..NODES).map(node))?;
        self.apply([json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})])?;
        harness::wait::until("the service account of the fake pods", PATIENCE, || {
            self.objects.get("v1", "ServiceAccount", NAMESPACE, "default")
        });
        // Pods first: each EndpointSlice is written once then.
        self.apply((0..self.number).map(pod))?;
        self.wait_for("Pod", |pod| !pod["status"]["podIP"].is_null())?;
        self.apply((0..self.number).map(service))?;
        self.wait_for("EndpointSlice", |slice| slice["endpoints"][0]["conditions"]["ready"] == true)
    }

    fn apply(&self, objects: impl IntoIterator<Item = Value>) -> anyhow::Result<()> {
        let objects: Vec<Value> = objects.into_iter().collect();
        let refused = self.objects.try_apply_all(&objects);
        ensure!(refused.is_empty(), "the API server refuses {} objects, first {}", refused.len(), refused[0]);
        Ok(())
    }

    /// Waits until there are as many of `kind` that are `good` as there are Services.
    fn wait_for(&mut self, kind: &str, good: impl Fn(&Value) -> bool) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let version = if kind == "Pod" { "v1" } else { "discovery.k8s.io/v1" };
        loop {
            let found = self.objects.list(version, kind, NAMESPACE, "");
            let found = found.iter().filter(|object| good(object)).count();
            if found >= self.number {
                return Ok(());
            }
            self.kwok.assert_running();
            ensure!(
                Instant::now() < deadline,
                "of {} fake {kind}s {found} are ready after {} s; the last words of kwok:\n{}",
                self.number,
                PATIENCE.as_secs(),
                self.kwok.tail()
            );
            lab::pause(LOOK);
        }
    }

    /// A route to each Service.
    pub(super) fn routes(&self) -> Vec<Value> {
        const IN_ONE: usize = 500;
        let first = (0..self.number).step_by(IN_ONE);
        first.map(|first| virtual_service(first, first..(first + IN_ONE).min(self.number))).collect()
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
        self.objects.delete_all(&[namespace]);
        // What is in the namespace the cluster's controllers remove. Of pods on lost nodes they would wait for kubelets.
        let deadline = Instant::now() + PATIENCE;
        while self.objects.get("v1", "Namespace", "", NAMESPACE).is_some() && Instant::now() < deadline {
            lab::pause(LOOK);
        }
        self.objects.delete_all(&(0..NODES).map(node).collect::<Vec<_>>());
    }
}

/// Lets one pod after the other go and come back, ten a second where the API server is fast enough. It has a connection of
/// its own to the API server.
pub(super) fn change_until(kubeconfig: &Path, number: usize, changes: &AtomicU64, over: &AtomicBool) {
    let objects = Objects::connect(kubeconfig);
    let mut due = Instant::now();
    for pod in (0..number).cycle().map(pod) {
        if over.load(Ordering::Relaxed) {
            return;
        }
        objects.delete_all(std::slice::from_ref(&pod));
        if objects.try_apply_all(&[pod]).is_empty() {
            changes.fetch_add(1, Ordering::Relaxed);
        }
        due += BETWEEN_PODS;
        lab::pause(due.saturating_duration_since(Instant::now()));
    }
}

fn name(index: usize) -> String {
    format!("crowd-{index}")
}

/// No scheduler puts pods on it, and no gateway is for it.
fn node(index: usize) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": format!("fake-{index}"),
            "annotations": {"kwok.x-k8s.io/node": "fake"},
            "labels": {"node-gateway/exclude": "true"},
        },
        "spec": {"taints": [{"key": "kwok.x-k8s.io/node", "value": "fake", "effect": "NoSchedule"}]},
    })
}

fn pod(index: usize) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name(index), "namespace": NAMESPACE, "labels": {"app": name(index)}},
        "spec": {
            "nodeName": format!("fake-{}", index % NODES),
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": false,
            "tolerations": [{"operator": "Exists"}],
            "containers": [{"name": "nothing", "image": "nothing"}],
        },
    })
}

fn service(index: usize) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name(index), "namespace": NAMESPACE},
        "spec": {"selector": {"app": name(index)}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
    })
}

fn virtual_service(first: usize, services: std::ops::Range<usize>) -> Value {
    let host = |index| format!("{}.{NAMESPACE}.svc.cluster.local", name(index));
    let rule = |index| {
        json!({
            "match": [{"uri": {"prefix": format!("/{}/", name(index))}}],
            "route": [{"destination": {"host": host(index)}}],
        })
    };
    json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": format!("figures-crowd-{first}"), "namespace": "default"},
        "spec": {
            "hosts": [format!("figures-crowd-{first}.test")],
            "gateways": ["g"],
            "http": services.map(rule).collect::<Vec<_>>(),
        },
    })
}
