//! The API server dies and comes back.

use crate::lab::{self, GATEWAY, Lab, istio, until_answer, weights};
use harness::traffic::{Load, Sent};
use std::{
    env,
    sync::mpsc,
    time::{Duration, Instant},
};

/// Shortens the outage where a quick answer matters more.
const SECONDS: &str = "GATEWAY_TESTS_OUTAGE_SECONDS";

#[test]
fn an_outage_of_the_api_server_fails_no_request() {
    lab::run("an_outage_of_the_api_server_fails_no_request", || {
        let seconds = env::var(SECONDS).ok().map_or(30, |text| text.parse().expect("a number of seconds"));
        let mut lab = Lab::start();
        lab.apply_article();
        let load = Load::start(GATEWAY, "reviews", "/reviews/0", 4, Duration::from_millis(5));
        lab.cluster.kill_apiserver();
        let (_keep, never) = mpsc::channel::<()>();
        let _ = never.recv_timeout(Duration::from_secs(seconds));
        assert!(lab.daemon().is_ready(), "the last good configuration is in force");

        lab.cluster.start_apiserver();
        let returned = Instant::now();
        let objects = lab.cluster.objects();
        objects.merge(&istio("VirtualService", "reviews"), &weights(0, 100));
        let edited = Instant::now();
        until_split_is_v2();
        println!(
            "outage of {seconds} s: an edit made {:?} after the return was served {:?} later",
            edited - returned,
            edited.elapsed()
        );
        let sent = load.stop();
        let failed: Vec<&Sent> = sent.iter().filter(|sent| !sent.succeeded()).collect();
        println!("outage of {seconds} s: {} requests, {} failed", sent.len(), failed.len());
        assert!(failed.is_empty(), "{} of {} requests failed, first {:?}", failed.len(), sent.len(), failed[0]);
        assert!(sent.len() as u64 > seconds * 100, "too few requests to say anything: {}", sent.len());
        lab.daemon().process.assert_running();
    });
}

/// Twenty answers of v2 in a row are no accident at 50/50.
fn until_split_is_v2() {
    let mut in_a_row = std::cell::Cell::new(0);
    until_answer("reviews", "/reviews/0", |answer| {
        in_a_row.set(if answer.backend == "v2" { in_a_row.get() + 1 } else { 0 });
        in_a_row.get() == 20
    });
    assert_eq!(*in_a_row.get_mut(), 20);
}
