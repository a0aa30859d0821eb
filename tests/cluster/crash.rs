//! A gateway dies without a word.

use harness::{
    cluster::{self, Gateway, Load, LoadOptions, World},
    wait,
};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Three seconds is what is promised, and printed; most of it is the kubelet's, which notices a container that ended once a
/// second. A machine that does ten other things at once gets more.
const LIMIT: Duration = Duration::from_secs(15);

#[test]
fn a_killed_gateway_costs_its_own_connections_and_is_back() {
    if !cluster::reaches_nodes("a_killed_gateway_costs_its_own_connections_and_is_back") {
        return;
    }
    let world = World::with_article("e2e-crash");
    let [node, other] = &world.nodes[..2] else { panic!("this needs two nodes: {:?}", world.nodes) };
    let gateway = Gateway::fresh(&world.cluster, node);
    let options = LoadOptions { rate: 200, ..LoadOptions::default() };
    let here = Load::start(&world, node, "crash-here", options);
    let there = Load::start(&world, other, "crash-there", options);

    let before = gateway.process().expect("the gateway's process is on this machine");
    let (killed, killed_ms) = (Instant::now(), now_ms());
    gateway.kill();
    wait::until("the next process of the gateway", Duration::from_secs(60), || {
        gateway.process().filter(|process| *process != before)
    });
    wait::until("the gateway to be ready again", Duration::from_secs(60), || {
        gateway.answers_ready(&world.cluster).then_some(())
    });
    let took = killed.elapsed();
    println!("ready again {took:?} after kill -9");
    Gateway::of(&world.cluster, node);

    there.stop().assert_without_failure(50);
    let report = here.stop();
    println!("on its node: {} sent, {} failed, {} asked again", report.sent, report.failed, report.asked_again);
    let refused = |error: &str| error.starts_with("connect: ");
    let broken: Vec<_> = report.failures.iter().filter(|(_, error)| !refused(error)).collect();
    let connections = usize::try_from(options.connections).expect("small");
    assert!(broken.len() <= connections, "each of its own connections breaks once at most: {broken:?}");
    for (at_ms, error) in &report.failures {
        let after_ms = at_ms.saturating_sub(killed_ms);
        assert!(*at_ms + 1000 >= killed_ms, "before the kill: {error}");
        assert!(after_ms <= u64::try_from(took.as_millis()).expect("short"), "{after_ms} ms after the kill: {error}");
        assert!(!error.starts_with("50"), "no answer is better than a wrong one: {error}");
    }
    assert!(took <= LIMIT, "ready again only after {took:?}");
}

fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    u64::try_from(now.as_millis()).expect("before 500 million years")
}
