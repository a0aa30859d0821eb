//! The gateways as the egress gateway too: deploy/components/egress, and the sample that sends an outside name through it.

use crate::render::with_component;
use harness::{
    cluster::{Cluster, GATEWAY, World, deploy_file, install, rolled_out},
    wait,
};
use serde_json::{Value, json};
use std::time::Duration;

const EGRESS: &str = "http://istio-egressgateway.istio-system";
const PATIENCE: Duration = Duration::from_secs(60);

/// Takes the component away again, also when the test fails.
struct Installed<'c>(&'c Cluster);

impl<'c> Installed<'c> {
    fn new(cluster: &'c Cluster) -> Self {
        let installed = Self(cluster);
        let items: Vec<Value> = with_component("local", "egress").into_values().collect();
        let list = json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string();
        cluster
            .try_kubectl(&["apply", "--server-side", "--force-conflicts", "-f", "-"], Some(&list))
            .expect("the component can be applied");
        rolled_out(cluster);
        installed
    }
}

impl Drop for Installed<'_> {
    fn drop(&mut self) {
        // Without a panic: this may be the way out of one.
        let gone = ["delete", "service", "istio-egressgateway", "-n", "istio-system", "--ignore-not-found"];
        if let Err(error) = self.0.try_kubectl(&gone, None) {
            println!("cannot remove the egress gateway's Service: {error}");
        }
        if !std::thread::panicking() {
            install(self.0);
        }
    }
}

#[test]
fn an_outside_name_is_called_through_the_egress_gateway() {
    let world = World::start("e2e-egress");
    let _installed = Installed::new(&world.cluster);
    // The name is nobody's in this cluster: reviews answers for it.
    let endpoints = format!(
        "resolution: DNS\n  endpoints: [{{address: reviews.{}.svc.cluster.local, ports: {{http: 9080}}}}]",
        world.namespace
    );
    let sample = deploy_file("samples/egress.yaml").replace("resolution: DNS", &endpoints);
    world.cluster.apply(&world.namespace, &sample);
    let status = |gateway: &str, node: &str| {
        let curl = format!(
            "curl --silent --output /dev/null --max-time 5 --write-out '%{{http_code}}' --header 'Host: api.example.com' \
             {gateway}/reviews/0 || true"
        );
        world.in_caller(node, &curl)
    };
    for node in &world.nodes {
        wait::until(&format!("an answer through the egress gateway on {node}"), PATIENCE, || {
            (status(EGRESS, node) == "200").then_some(())
        });
        // The ingress gateway has another Gateway's routes: none for this host, or no listener at all.
        let ingress = status(GATEWAY, node);
        assert!(ingress == "404" || ingress == "000", "{node}: {ingress}");
    }
    world.kubectl(&["delete", "serviceentry", "--all"]);
}
