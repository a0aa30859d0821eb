//! Samples for when something goes wrong: timeouts, retries, faults, copies, limits, sessions.

use super::{
    PATIENCE, Sample, count,
    odd::{Beside, listing, obedient, scale},
    version,
};
use harness::{cluster::World, wait};
use std::collections::BTreeSet;

#[test]
fn a_request_is_answered_in_time_or_with_504() {
    let world = World::with_article("e2e-timeouts");
    let timeouts = Sample::apply(&world, "timeouts");
    // Half of the requests for v1 reach a pod that takes its time.
    let _slow = Beside::start(&world, &obedient("v1"));
    for node in &world.nodes {
        wait::until(&format!("504 on {node}"), PATIENCE, || {
            let statuses = timeouts.statuses(node, "--header 'x-echo-delay-ms: 8000'", "/reviews/0", 10);
            assert!(statuses.iter().all(|status| status == "200" || status == "504"), "{node}: {statuses:?}");
            statuses.contains(&"504".to_owned()).then_some(())
        });
        // Nobody waits for those eight seconds.
        let timed = timeouts.at_once(node, "--header 'x-echo-delay-ms: 8000'", "%{http_code} %{time_total}", 20);
        for line in timed {
            let (status, seconds) = line.split_once(' ').expect("two words");
            let seconds: f64 = seconds.parse().expect("a number");
            assert!(status != "504" || (0.4..8.).contains(&seconds), "{node}: {line}");
        }
    }
}

#[test]
fn a_failed_request_is_sent_again_three_times() {
    let world = World::with_article("e2e-retries");
    let retries = Sample::apply(&world, "retries");
    let _failing = Beside::start(&world, &obedient("v1"));
    for node in &world.nodes {
        for failure in ["x-echo-status: 503", "x-echo-fail: reset", "x-echo-fail: close"] {
            let statuses = retries.statuses(node, &format!("--header '{failure}'"), "/reviews/0", 30);
            assert_eq!(count(&statuses, &"200".to_owned()), 30, "{node}: {failure}: {statuses:?}");
        }
    }
    // Alone, the failing pod is asked three times more and not a fourth.
    scale(&world, 0);
    for node in &world.nodes {
        for (until, status) in [(2, "200"), (4, "200"), (5, "503")] {
            let fields = format!("--header 'x-echo-status: 503' --header 'x-echo-until: {until}'");
            wait::until(&format!("{status} on {node} with a pod that recovers at {until}"), PATIENCE, || {
                (retries.statuses(node, &fields, "/reviews/0", 3) == [status; 3]).then_some(())
            });
        }
        let body = retries.bodies(node, "--header 'x-echo-status: 503' --header 'x-echo-until: 4'", 1).remove(0);
        assert!(body.contains(r#"["x-envoy-attempt-count","4"]"#), "{body}");
    }
}

#[test]
fn faults_meet_jason_and_every_tenth() {
    let world = World::with_article("e2e-faults");
    let faults = Sample::apply(&world, "fault-injection");
    let node = &world.nodes[0];
    let statuses = faults.statuses(node, "--header 'end-user: jason'", "/reviews/0", 20);
    assert_eq!(count(&statuses, &"500".to_owned()), 20, "{statuses:?}");
    let mut delayed = 0;
    for _ in 0..5 {
        for line in faults.at_once(node, "", "%{http_code} %{time_total}", 40) {
            let (status, seconds) = line.split_once(' ').expect("two words");
            assert_eq!(status, "200", "{line}");
            delayed += usize::from(seconds.parse::<f64>().expect("a number") >= 2.);
        }
    }
    println!("{delayed} of 200 were delayed");
    // None at all comes once in 10^9 runs.
    assert!((1..200).contains(&delayed), "{delayed} of 200 were delayed");
}

#[test]
fn half_of_the_requests_are_copied_and_nobody_waits() {
    let world = World::with_article("e2e-mirroring");
    // Before the sample, so that the gateways know it. Half of the copies are for the pod that writes them down.
    let listing = Beside::start(&world, &listing("v2"));
    let mirroring = Sample::apply(&world, "mirroring");
    let node = &world.nodes[0];
    let answers = mirroring.from(node, "", 300);
    assert_eq!(count(&answers, &Some("v1")), 300, "{answers:?}");
    let copies = || listing.log().lines().filter(|line| line.contains("/reviews/0")).count();
    // 75 are expected; fewer than 20 come once in 10^12 runs, and more than the requests never.
    wait::until("copies at v2", PATIENCE, || (copies() >= 20).then_some(()));
    println!("{} copies at one of two pods, of 300 requests", copies());
    assert!(copies() < 300, "more copies than requests");
}

#[test]
fn ten_at_once_and_the_rest_is_turned_away() {
    let world = World::with_article("e2e-breaking");
    let breaking = Sample::of(&world, "circuit-breaking", "circuit-breaking.example.com");
    // With outlier detection the nearest pods come first, as with Istio: the failing one must be one of them.
    let node = &world.nodes[0];
    let mut pod = obedient("v1");
    pod["spec"]["nodeName"] = node.as_str().into();
    let _slow = Beside::start(&world, &pod);

    // The obedient pod fails five times in a row, and is left out; reviews' own pods do not read this field.
    let failing = "--header 'x-echo-status: 500'";
    wait::until("the failing pod to be met", PATIENCE, || {
        breaking.statuses(node, failing, "/reviews/0", 10).contains(&"500".to_owned()).then_some(())
    });
    wait::until("the failing pod to be left out", PATIENCE, || {
        let statuses = breaking.statuses(node, failing, "/reviews/0", 30);
        (count(&statuses, &"200".to_owned()) == 30).then_some(())
    });

    // Alone it must be asked again, which it is when its time is over.
    scale(&world, 0);
    wait::until("the pod to be back", PATIENCE * 2, || {
        (breaking.statuses(node, "", "/reviews/0", 1) == ["200"]).then_some(())
    });
    let slow = "--header 'x-echo-delay-ms: 4000'";
    let answers = breaking.at_once(node, slow, "%{http_code} %header{x-envoy-overloaded}", 60);
    let (served, refused) = (count(&answers, &"200 ".to_owned()), count(&answers, &"503 true".to_owned()));
    println!("{served} served, {refused} refused");
    assert!(served + refused == 60 && served >= 10 && refused > 0, "{answers:?}");
}

#[test]
fn a_session_stays_with_its_pod() {
    let world = World::with_article("e2e-sessions");
    let sticky = Sample::of(&world, "session-affinity", "session-affinity.example.com");
    let pod = |body: &String| version(body).map(str::to_owned);
    for node in &world.nodes {
        // Without a cookie every request is somebody new.
        let strangers: BTreeSet<_> = sticky.bodies(node, "", 40).iter().map(pod).collect();
        assert!(strangers.len() > 1 && !strangers.contains(&None), "{node}: {strangers:?}");
        for _ in 0..3 {
            let first = sticky.bodies(node, "--write-out '\\n%header{set-cookie}'", 1);
            let cookie = &first[1];
            assert!(cookie.starts_with("reviews-session=") && cookie.contains("Max-Age=3600"), "{first:?}");
            assert!(cookie.contains("; Path=/"), "{first:?}");
            let value = cookie.split(';').next().expect("a value");
            let again = sticky.bodies(node, &format!("--cookie '{value}'"), 20);
            assert!(again.iter().all(|body| pod(body) == pod(&first[0])), "{node}: {first:?}, then {again:?}");
        }
    }
}
