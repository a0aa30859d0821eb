//! A node or a pod that lacks something: the gateway names it, and serves without.

use crate::render::daemon_set;
use harness::{
    cluster::{Cluster, install, text},
    wait,
};
use serde_json::{Value, json};
use std::time::Duration;

const NAMESPACE: &str = "istio-system";

#[test]
fn a_missing_capability_is_named_and_costs_only_the_short_circuit() {
    let said = without("capability", |pod| {
        pod["spec"]["containers"][0]["securityContext"]["capabilities"]["add"] = json!(["BPF", "NET_ADMIN"]);
    });
    assert!(said.contains("CAP_PERFMON"), "{said}");
}

#[test]
fn a_node_without_the_host_s_cgroups_is_named_and_costs_only_the_short_circuit() {
    let said = without("cgroups", |pod| {
        let mounts = pod["spec"]["containers"][0]["volumeMounts"].as_array_mut().expect("a list");
        mounts.retain(|mount| mount["name"] != "cgroup");
    });
    assert!(said.contains("cgroup"), "{said}");
}

/// Runs a gateway of the gke profile beside the others, changed, and returns the line of its readiness that speaks of the
/// fast path; it is ready all the same.
fn without(what: &str, change: impl FnOnce(&mut Value)) -> String {
    let cluster = Cluster::connect();
    install(&cluster);
    let name = format!("e2e-without-{what}");
    let mut pod = daemon_set("local")["spec"]["template"].take();
    pod["apiVersion"] = json!("v1");
    pod["kind"] = json!("Pod");
    // Labels of its own: nobody is sent to it.
    pod["metadata"] = json!({"name": name, "namespace": NAMESPACE});
    pod["spec"]["nodeName"] = json!(cluster.nodes()[0]);
    change(&mut pod);
    let pod = Pod::new(&cluster, &name, &pod);
    let ready = format!("/api/v1/namespaces/{NAMESPACE}/pods/{}:15021/proxy/readyz?verbose", pod.name);
    let said = wait::until("the gateway to be ready", Duration::from_secs(120), || {
        cluster.try_kubectl(&["get", "--raw", &ready], None).ok()
    });
    println!("without {what}: {}", said.trim().replace('\n', "; "));
    let line = said.lines().find(|line| line.contains("fastpath")).map(str::to_owned);
    line.unwrap_or_else(|| panic!("nothing about the fast path in {said}"))
}

/// A pod, until dropped.
struct Pod<'a> {
    cluster: &'a Cluster,
    name: String,
}

impl<'a> Pod<'a> {
    fn new(cluster: &'a Cluster, name: &str, pod: &Value) -> Self {
        cluster.kubectl(&["-n", NAMESPACE, "delete", "pod", name, "--ignore-not-found"]);
        cluster.apply(NAMESPACE, &pod.to_string());
        Self { cluster, name: text(&pod["metadata"]["name"]) }
    }
}

impl Drop for Pod<'_> {
    fn drop(&mut self) {
        let delete = ["-n", NAMESPACE, "delete", "pod", &self.name, "--ignore-not-found", "--wait=false"];
        if let Err(error) = self.cluster.try_kubectl(&delete, None) {
            println!("cannot remove pod {}: {error}", self.name);
        }
    }
}
