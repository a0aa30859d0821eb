//! The article where the kernel has to help: every gateway runs with `--fastpath require`.

use harness::{
    cluster::{Cluster, GATEWAY, Gateway, World, install, rolled_out},
    wait,
};
use std::time::Duration;

const REQUESTS: usize = 200;
const DAEMON_SET: [&str; 3] = ["-n", "istio-system", "daemonset/istio-ingressgateway"];

#[test]
fn the_article_works_with_the_short_circuit_required_on_every_node() {
    let world = World::with_article("e2e-required");
    let required = Required::everywhere(&world.cluster);
    for node in &world.nodes {
        let before = moved(&world.cluster, node);
        let line =
            format!("for i in $(seq {REQUESTS}); do curl --silent --fail {GATEWAY}/reviews/0 || exit 1; echo; done");
        let versions = World::versions(&world.in_caller(node, &line));
        assert!(versions["v1"].abs_diff(REQUESTS / 2) <= 40, "{node}: {versions:?}");
        assert!(versions["v2"].abs_diff(REQUESTS / 2) <= 40, "{node}: {versions:?}");
        assert_eq!(versions["v3"], 0, "{node}: {versions:?}");
        let [asked, answered] = wait::until("the kernel to have moved them", Duration::from_secs(60), || {
            let now = moved(&world.cluster, node);
            let since = [now[0] - before[0], now[1] - before[1]];
            since.iter().all(|count| *count > 0).then_some(since)
        });
        println!("{node}: {versions:?}; the kernel moved {asked} messages of callers and {answered} answers");
    }
    drop(required);
}

/// Messages the kernel has moved on `node`: from callers to its gateway, and back.
fn moved(cluster: &Cluster, node: &str) -> [u64; 2] {
    let pod = Gateway::of(cluster, node).pod;
    let path = format!("/api/v1/namespaces/istio-system/pods/{pod}:15020/proxy/metrics");
    let metrics = cluster.kubectl(&["get", "--raw", &path]);
    ["caller_to_gateway", "gateway_to_caller"].map(|direction| {
        let series = format!("gateway_fastpath_messages_total{{direction=\"{direction}\",way=\"kernel\"}} ");
        let count = metrics.lines().find_map(|line| line.strip_prefix(&series));
        count.and_then(|count| count.parse().ok()).unwrap_or_else(|| panic!("{series} is not in\n{metrics}"))
    })
}

/// The gateways may not do without the kernel, until dropped.
struct Required<'a>(&'a Cluster);

impl<'a> Required<'a> {
    fn everywhere(cluster: &'a Cluster) -> Self {
        let this = Self(cluster);
        cluster.kubectl(&[&["set", "env"], &DAEMON_SET[..], &["GATEWAY_FASTPATH=require"]].concat());
        rolled_out(cluster);
        Gateway::until_none_is_ending(cluster);
        this
    }
}

impl Drop for Required<'_> {
    fn drop(&mut self) {
        install(self.0);
        Gateway::until_none_is_ending(self.0);
    }
}
