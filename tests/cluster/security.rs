//! The Pod Security Standards, enforced by the API server's own admission.

use crate::render::{daemon_set, kustomize};
use harness::{
    cluster::{Cluster, text},
    wait,
};
use serde_json::{Value, json};
use std::time::Duration;

#[test]
fn the_plain_profile_runs_where_restricted_is_enforced() {
    let cluster = Cluster::connect();
    let namespace = Namespace::new(&cluster, "e2e-restricted", "restricted");
    for object in in_namespace(namespace.name) {
        cluster.apply(namespace.name, &object.to_string());
    }
    cluster.kubectl(&["-n", namespace.name, "rollout", "status", "daemonset/istio-ingressgateway", "--timeout=120s"]);
    wait::until("the gateway to say that it leaves the kernel alone", Duration::from_secs(20), || {
        let logs = cluster.kubectl(&["-n", namespace.name, "logs", "daemonset/istio-ingressgateway"]);
        logs.contains("switched off by --fastpath off").then_some(())
    });
}

#[test]
fn the_gke_profile_needs_exactly_what_it_says() {
    let cluster = Cluster::connect();
    let restricted = refusal(&cluster, "restricted").expect("more than restricted");
    assert_eq!(
        violations(&restricted),
        ["restricted volume types", "runAsNonRoot != true", "runAsUser=0", "unrestricted capabilities"],
        "{restricted}"
    );
    let baseline = refusal(&cluster, "baseline").expect("more than baseline");
    assert_eq!(violations(&baseline), ["hostPath volumes", "non-default capabilities"], "{baseline}");
    for what in [r#""BPF", "NET_ADMIN", "PERFMON""#, r#""bpffs", "cgroup""#] {
        let quoted = |message: &str| what.split(", ").all(|name| message.contains(name));
        assert!(quoted(&restricted) && quoted(&baseline), "{what}: {restricted}; {baseline}");
    }
    assert_eq!(refusal(&cluster, "privileged"), None);
}

/// What admission says against a pod of the gke profile in a namespace of that level.
fn refusal(cluster: &Cluster, level: &str) -> Option<String> {
    let name = format!("e2e-gke-{level}");
    let namespace = Namespace::new(cluster, &name, level);
    let mut pod = daemon_set("gke")["spec"]["template"].take();
    pod["apiVersion"] = json!("v1");
    pod["kind"] = json!("Pod");
    pod["metadata"]["name"] = json!("gateway");
    // The account is not in this namespace, and not what is asked about.
    pod["spec"]["serviceAccountName"] = json!("default");
    wait::until("the namespace's default account", Duration::from_secs(60), || {
        cluster.try_kubectl(&["-n", namespace.name, "get", "serviceaccount", "default"], None).ok()
    });
    let create = ["-n", namespace.name, "create", "--dry-run=server", "-f", "-"];
    cluster.try_kubectl(&create, Some(&pod.to_string())).err()
}

/// What the message complains about: the words before each parenthesis.
fn violations(message: &str) -> Vec<String> {
    let list = message.split_once("violates PodSecurity").and_then(|(_, rest)| rest.split_once("\": "));
    let (_, list) = list.unwrap_or_else(|| panic!("no Pod Security refusal: {message}"));
    let mut depth = 0_usize;
    let mut outside = String::new();
    for character in list.chars() {
        match character {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ if depth == 0 => outside.push(character),
            _ => {}
        }
    }
    let mut names: Vec<String> = outside.split(',').map(|name| name.trim().to_owned()).collect();
    names.sort();
    names
}

/// The plain overlay, moved to another namespace, with the image that the cluster has.
fn in_namespace(namespace: &str) -> Vec<Value> {
    let mut objects = kustomize("plain");
    objects.retain(|(kind, _), _| kind != "Namespace" && kind != "ClusterRole");
    let moved = objects.into_values().map(|mut object| {
        match text(&object["kind"]).as_str() {
            "ClusterRoleBinding" => {
                object["metadata"]["name"] = json!(namespace);
                object["subjects"][0]["namespace"] = json!(namespace);
            }
            "DaemonSet" => {
                let container = &mut object["spec"]["template"]["spec"]["containers"][0];
                container["image"] = json!("localhost/node-gateway:dev");
                container["imagePullPolicy"] = json!("Never");
                object["metadata"]["namespace"] = json!(namespace);
            }
            _ => object["metadata"]["namespace"] = json!(namespace),
        }
        object
    });
    moved.collect()
}

/// A namespace with a level enforced; gone when dropped, and with it the binding of that name.
struct Namespace<'a> {
    cluster: &'a Cluster,
    name: &'a str,
}

impl<'a> Namespace<'a> {
    fn new(cluster: &'a Cluster, name: &'a str, level: &str) -> Self {
        cluster.kubectl(&["delete", "namespace", name, "--ignore-not-found"]);
        let namespace = json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": name, "labels": {"pod-security.kubernetes.io/enforce": level}},
        });
        cluster.apply("default", &namespace.to_string());
        Self { cluster, name }
    }
}

impl Drop for Namespace<'_> {
    fn drop(&mut self) {
        for what in [["namespace", self.name], ["clusterrolebinding", self.name]] {
            let delete = [&["delete", "--ignore-not-found", "--wait=false"], &what[..]].concat();
            if let Err(error) = self.cluster.try_kubectl(&delete, None) {
                println!("cannot remove {}: {error}", what.join(" "));
            }
        }
    }
}
