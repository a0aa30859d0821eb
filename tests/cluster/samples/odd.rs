//! Pods of reviews that do not behave: what timeouts, retries and limits are there for.

use crate::samples::PATIENCE;
use harness::{cluster::World, wait};
use serde_json::{Value, json};

/// A pod of `version` that answers as the fields of a request tell it (tests/istio/echo.rs).
pub(super) fn obedient(version: &str) -> Value {
    let arguments = json!(["--listen", "0.0.0.0:9080"]);
    pod("reviews-obedient", version, json!({"image": "localhost/echo:dev", "args": arguments}))
}

/// A pod of `version` that writes a line for every request, and has nothing to say.
pub(super) fn listing(version: &str) -> Value {
    let command = json!(["busybox", "httpd", "-f", "-vv", "-p", "9080", "-h", "/"]);
    pod("reviews-listing", version, json!({"image": "localhost/toolbox:dev", "command": command}))
}

fn pod(name: &str, version: &str, mut container: Value) -> Value {
    container["name"] = json!("reviews");
    container["imagePullPolicy"] = json!("IfNotPresent");
    container["readinessProbe"] = json!({"tcpSocket": {"port": 9080}, "periodSeconds": 1});
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": "reviews", "version": version}},
        "spec": {"terminationGracePeriodSeconds": 1, "containers": [container]},
    })
}

/// A pod that is there, and gone when dropped.
pub(super) struct Beside<'w> {
    world: &'w World,
    name: String,
}

impl<'w> Beside<'w> {
    pub(super) fn start(world: &'w World, pod: &Value) -> Self {
        world.cluster.apply(&world.namespace, &pod.to_string());
        let beside = Self { world, name: harness::cluster::text(&pod["metadata"]["name"]) };
        world.kubectl(&["wait", "--for=condition=Ready", &beside.pod(), "--timeout=120s"]);
        beside
    }

    fn pod(&self) -> String {
        format!("pod/{}", self.name)
    }

    pub(super) fn log(&self) -> String {
        self.world.kubectl(&["logs", &self.pod()])
    }
}

impl Drop for Beside<'_> {
    fn drop(&mut self) {
        // Without a panic: this may be the way out of one.
        let delete = ["-n", &self.world.namespace, "delete", "--ignore-not-found", &self.pod()];
        if let Err(error) = self.world.cluster.try_kubectl(&delete, None) {
            println!("cannot remove {}: {error}", self.name);
        }
    }
}

/// Sets how many pods v1, v2 and v3 have each, and waits until it is so.
pub(super) fn scale(world: &World, replicas: usize) {
    world.kubectl(&["scale", "deployment", "--all", &format!("--replicas={replicas}")]);
    wait::until(&format!("{replicas} pods of each version"), PATIENCE, || {
        let pods = world.kubectl(&["get", "endpoints", "reviews", "--output=jsonpath={.subsets[*].addresses[*].ip}"]);
        let deployments = world.kubectl(&["get", "deployments", "--output=jsonpath={.items[*].status.readyReplicas}"]);
        let ready = deployments.split_whitespace().filter(|count| *count == replicas.to_string()).count();
        let others = pods.split_whitespace().count().saturating_sub(replicas * 3);
        (others <= 1 && (replicas == 0 || ready == 3)).then_some(())
    });
}
