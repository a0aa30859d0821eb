//! The article, word for word: its three objects unchanged, beside Bookinfo's reviews.

use harness::cluster::{GATEWAY, World};

const REQUESTS: usize = 200;

#[test]
fn the_article_works_from_a_plain_pod_on_every_node() {
    let world = World::with_article("e2e-article");
    for node in &world.nodes {
        let through_the_gateway = times(&format!("curl --silent --fail {GATEWAY}/reviews/0"), REQUESTS);
        let versions = World::versions(&world.in_caller(node, &through_the_gateway));
        println!("through the gateway from {node}: {versions:?}");
        // A fair coin leaves 100 ± 40 once in 10^8 runs.
        assert!(versions["v1"].abs_diff(REQUESTS / 2) <= 40, "{node}: {versions:?}");
        assert!(versions["v2"].abs_diff(REQUESTS / 2) <= 40, "{node}: {versions:?}");
        assert_eq!(versions["v3"], 0, "{node}: {versions:?}");

        // Past the gateway nothing has changed: that is why the article changes callers, not services.
        let directly = times("curl --silent --fail http://reviews:9080/reviews/0", 60);
        let versions = World::versions(&world.in_caller(node, &directly));
        println!("directly from {node}: {versions:?}");
        assert!(versions.values().all(|count| *count > 0), "{node}: {versions:?}");
    }
}

/// A shell line that runs `command` so often, one line of output each.
fn times(command: &str, count: usize) -> String {
    format!("for i in $(seq {count}); do {command} || exit 1; echo; done")
}
