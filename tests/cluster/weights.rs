//! Weights edited with kubectl while requests go on.

use harness::{
    cluster::{GATEWAY, Load, LoadOptions, World},
    wait,
};
use std::time::{Duration, Instant};

/// How long weights are edited.
const EDITING: Duration = Duration::from_secs(5);

#[test]
fn weights_are_edited_under_load_without_a_failed_request() {
    let world = World::with_article("e2e-weights");
    let node = &world.nodes[0];
    let load = Load::start(&world, node, "weights", LoadOptions::default());
    // Long enough for some thousand requests, however quick the edits are.
    let began = Instant::now();
    for v1 in [90, 10, 50, 100, 0, 25, 75].into_iter().cycle().take_while(|_| began.elapsed() < EDITING) {
        patch(&world, v1);
    }
    patch(&world, 0);
    // Twenty answers of v2 in a row are no accident at any of the earlier weights but the last.
    wait::until("the last weights to be in force", Duration::from_secs(30), || {
        let line = format!("for i in $(seq 20); do curl --silent --fail {GATEWAY}/reviews/0 || exit 1; echo; done");
        (World::versions(&world.in_caller(node, &line))["v2"] == 20).then_some(())
    });
    let report = load.stop();
    report.assert_without_failure(500);
    let of = |version: &str| report.by_pod.iter().any(|(pod, count)| pod.starts_with(version) && *count > 0);
    assert!(of("reviews-v1") && of("reviews-v2") && !of("reviews-v3"), "{:?}", report.by_pod);
}

fn patch(world: &World, v1: u32) {
    let path = "/spec/http/0/route";
    let patch = format!(
        r#"[{{"op": "replace", "path": "{path}/0/weight", "value": {v1}}},
            {{"op": "replace", "path": "{path}/1/weight", "value": {}}}]"#,
        100 - v1
    );
    world.kubectl(&["patch", "virtualservice", "reviews", "--type=json", "--patch", &patch]);
}
