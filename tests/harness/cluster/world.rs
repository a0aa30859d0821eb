//! A namespace with Bookinfo's reviews and a plain caller on every node: what a scenario needs, gone when it ends.

use super::{Cluster, deploy_file, gateways};
use crate::wait;
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};

const PATIENCE: Duration = Duration::from_secs(60);

/// What the article is about, and a cluster for it alone.
#[derive(Debug)]
pub struct World {
    pub cluster: Cluster,
    pub namespace: String,
    pub nodes: Vec<String>,
}

/// The article's kinds; they are removed before the namespace is, since routes of a namespace that is going still count.
const ROUTES: &str = "gateways.networking.istio.io,virtualservices.networking.istio.io,\
                      destinationrules.networking.istio.io";

impl World {
    /// The gateway installed; reviews v1, v2 and v3 and the callers ready; no routes yet.
    ///
    /// # Panics
    /// When something does not become ready.
    pub fn start(namespace: &str) -> Self {
        let cluster = Cluster::connect();
        gateways::install(&cluster);
        let nodes = cluster.nodes();
        let world = Self { cluster, namespace: namespace.to_owned(), nodes };
        // What an earlier run may have left would not be what this one expects.
        world.cluster.kubectl(&["delete", "namespace", namespace, "--ignore-not-found"]);
        world.cluster.kubectl(&["create", "namespace", namespace]);
        world.cluster.apply(namespace, &deploy_file("samples/bookinfo-reviews.yaml"));
        for node in &world.nodes {
            world.cluster.apply(namespace, &caller(node).to_string());
        }
        world.kubectl(&["wait", "--for=condition=Ready", "pods", "--all", "--timeout=120s"]);
        world
    }

    /// Like [`Self::start`], with the article's three objects applied and in force.
    pub fn with_article(namespace: &str) -> Self {
        let world = Self::start(namespace);
        world.apply_article();
        world
    }

    /// deploy/samples/reviews.yaml, and a request from every caller that is answered.
    pub fn apply_article(&self) {
        self.cluster.apply(&self.namespace, &deploy_file("samples/reviews.yaml"));
        for node in &self.nodes {
            wait::until(&format!("the first answer on {node}"), PATIENCE, || {
                let curl = format!("curl --silent --fail --max-time 5 {GATEWAY}/reviews/0");
                self.try_in_caller(node, &curl).ok()
            });
        }
    }

    /// kubectl in this namespace.
    pub fn kubectl(&self, arguments: &[&str]) -> String {
        self.cluster.kubectl(&[&["-n", &self.namespace], arguments].concat())
    }

    /// What a shell line in the caller on `node` prints.
    ///
    /// # Panics
    /// When it fails.
    pub fn in_caller(&self, node: &str, line: &str) -> String {
        self.try_in_caller(node, line).unwrap_or_else(|error| panic!("{line} on {node}: {error}"))
    }

    fn try_in_caller(&self, node: &str, line: &str) -> Result<String, String> {
        let pod = caller_name(node);
        self.cluster.try_kubectl(&["-n", &self.namespace, "exec", &pod, "--", "sh", "-c", line], None)
    }

    /// Which versions answered, by the color of their stars, in the bodies of as many lines.
    ///
    /// # Panics
    /// When a line is no answer of reviews.
    pub fn versions(lines: &str) -> BTreeMap<&'static str, usize> {
        let mut versions = BTreeMap::from([("v1", 0), ("v2", 0), ("v3", 0)]);
        for line in lines.lines() {
            let answer: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line:?}"));
            let version = match answer["reviews"][0]["rating"]["color"].as_str() {
                None => "v1",
                Some("black") => "v2",
                Some(_) => "v3",
            };
            *versions.entry(version).or_default() += 1;
        }
        versions
    }
}

/// The gateway's address, as a pod of any namespace calls it.
pub const GATEWAY: &str = "http://istio-ingressgateway.istio-system";

impl Drop for World {
    fn drop(&mut self) {
        // Without panics: this may be the way out of one.
        let delete = |what: &[&str]| {
            let said = self
                .cluster
                .try_kubectl(&[&["-n", &self.namespace, "delete", "--ignore-not-found"], what].concat(), None);
            if let Err(error) = said {
                println!("cannot remove namespace {}: {error}", self.namespace);
            }
        };
        delete(&[ROUTES, "--all"]);
        delete(&["namespace", &self.namespace, "--wait=false"]);
    }
}

/// The name of the caller's pod on `node`.
pub(super) fn caller_name(node: &str) -> String {
    format!("caller-{node}")
}

/// A pod without privileges, sidecar or annotation.
fn caller(node: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": caller_name(node), "labels": {"app": "caller"}},
        "spec": {
            "nodeName": node,
            "tolerations": [{"operator": "Exists"}],
            "terminationGracePeriodSeconds": 2,
            "containers": [{"name": "caller", "image": "localhost/toolbox:dev", "imagePullPolicy": "IfNotPresent"}],
        },
    })
}
