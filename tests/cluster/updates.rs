//! The gateway is replaced on every node while requests go on.

use harness::cluster::{Gateway, Load, LoadOptions, World, rolled_out};

#[test]
fn a_rolling_update_fails_no_request() {
    let world = World::with_article("e2e-update");
    let before: Vec<String> = Gateway::all(&world.cluster).into_iter().map(|gateway| gateway.pod).collect();
    let options = LoadOptions { rate: 250, ..LoadOptions::default() };
    let loads: Vec<Load> = world.nodes.iter().map(|node| Load::start(&world, node, "update", options)).collect();
    world.cluster.kubectl(&["rollout", "restart", "daemonset/istio-ingressgateway", "-n", "istio-system"]);
    rolled_out(&world.cluster);
    Gateway::until_none_is_ending(&world.cluster);
    for load in loads {
        load.stop().assert_without_failure(500);
    }
    let after = Gateway::all(&world.cluster);
    assert!(after.iter().all(|gateway| !before.contains(&gateway.pod)), "{before:?} are still there: {after:?}");
}
