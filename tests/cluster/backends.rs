//! Backends come and go while requests go on.

use harness::{
    cluster::{Load, LoadOptions, World},
    wait,
};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn deleting_a_backend_s_pod_fails_no_request() {
    let world = World::with_article("e2e-delete-pod");
    for version in ["v1", "v2"] {
        // These stop listening at once, before anybody has heard of it: who calls in the gap is served by the other pod.
        let deployment = format!("deployment/reviews-{version}");
        let patch = r#"[{"op": "remove", "path": "/spec/template/spec/containers/0/lifecycle"}]"#;
        world.kubectl(&["patch", &deployment, "--type=json", "--patch", patch]);
        world.kubectl(&["scale", &deployment, "--replicas=2"]);
        world.kubectl(&["rollout", "status", &deployment, "--timeout=120s"]);
    }
    let load = Load::start(&world, &world.nodes[0], "delete-pod", LoadOptions::default());
    for version in ["v1", "v2"] {
        let selector = format!("app=reviews,version={version}");
        let pods = world.kubectl(&["get", "pods", "--selector", &selector, "--output=name"]);
        let pod = pods.lines().next().expect("a pod of each version");
        // Returns when the pod is gone, so that every stage of its end was under load.
        world.kubectl(&["delete", pod]);
        ready(&world, 2);
    }
    load.stop().assert_without_failure(500);
}

#[test]
fn scaling_a_backend_up_and_down_fails_no_request() {
    let world = World::with_article("e2e-scale");
    let load = Load::start(&world, &world.nodes[0], "scale", LoadOptions::default());
    scale(&world, 5);
    scale(&world, 1);
    wait::until("the pods that were too many to be gone", PATIENCE, || {
        let pods = world.kubectl(&["get", "pods", "--selector=app=reviews,version in (v1,v2)", "--output=name"]);
        (pods.lines().count() == 2).then_some(())
    });
    let report = load.stop();
    report.assert_without_failure(500);
    assert!(report.by_pod.len() > 2, "the new pods have served too: {:?}", report.by_pod);
}

fn scale(world: &World, replicas: usize) {
    let replicas_argument = format!("--replicas={replicas}");
    world.kubectl(&["scale", "deployment/reviews-v1", "deployment/reviews-v2", &replicas_argument]);
    ready(world, replicas);
}

/// Waits until v1 and v2 have so many ready pods.
fn ready(world: &World, replicas: usize) {
    wait::until(&format!("{replicas} ready pods of each version"), PATIENCE, || {
        let counts = world.kubectl(&[
            "get",
            "deployments/reviews-v1",
            "deployments/reviews-v2",
            "--output=jsonpath={.items[*].status.readyReplicas}",
        ]);
        let wanted = replicas.to_string();
        let counts: Vec<&str> = counts.split_whitespace().collect();
        (counts == [wanted.as_str(), wanted.as_str()]).then_some(())
    });
}
