//! Weights change while requests flow.

use crate::lab::{self, GATEWAY, Lab, istio, weights};
use harness::traffic::{Load, Sent};
use std::{
    sync::mpsc,
    time::{Duration, Instant},
};

/// How long each split is looked at: a few thousand requests.
const STAGE: Duration = Duration::from_secs(3);

/// A request begun later than this after the API server has taken the edit must follow it.
const GRACE: Duration = Duration::from_millis(100);

#[test]
fn weights_shift_without_a_failed_request() {
    lab::run("weights_shift_without_a_failed_request", || {
        let lab = Lab::start();
        lab.apply_article();
        let objects = lab.cluster.objects();
        let load = Load::start(GATEWAY, "reviews", "/reviews/0", 4, Duration::from_millis(2));
        let mut edits = vec![Instant::now()];
        pass(STAGE);
        for (v1, v2) in [(90, 10), (0, 100)] {
            objects.merge(&istio("VirtualService", "reviews"), &weights(v1, v2));
            edits.push(Instant::now());
            pass(STAGE);
        }
        let sent = load.stop();
        let failed: Vec<&Sent> = sent.iter().filter(|sent| !sent.succeeded()).collect();
        assert!(failed.is_empty(), "{} of {} requests failed, first {:?}", failed.len(), sent.len(), failed[0]);

        for (stage, wanted) in [0.5, 0.9, 0.0].into_iter().enumerate() {
            let begun = edits[stage] + GRACE;
            let ended = edits.get(stage + 1).copied();
            let of_stage: Vec<&Sent> =
                sent.iter().filter(|sent| sent.at >= begun && ended.is_none_or(|ended| sent.at < ended)).collect();
            let share = share(&of_stage, "v1");
            println!(
                "weights: {} requests, {:.1} % to v1 (wanted {:.0} %)",
                of_stage.len(),
                share * 100.0,
                wanted * 100.0
            );
            assert!(of_stage.len() > 1_000, "only {} requests", of_stage.len());
            if wanted > 0.0 {
                assert!((share - wanted).abs() < 0.05, "v1 got {share:.3}");
            }
        }
        let last = edits[2];
        let late = sent.iter().filter(|sent| sent.at > last && sent.reached("v1")).map(|sent| sent.at - last).max();
        println!("weights: the last request to the removed subset began {:?} after the edit", late.unwrap_or_default());
        assert!(late.is_none_or(|late| late <= GRACE), "v1 got a request {late:?} after it was removed");
        assert_eq!(lab.backend("v3").requests(), 0);
    });
}

#[expect(clippy::cast_precision_loss, reason = "some thousands of requests")]
fn share(sent: &[&Sent], backend: &str) -> f64 {
    sent.iter().filter(|sent| sent.reached(backend)).count() as f64 / sent.len() as f64
}

/// Lets the load run for `time`.
fn pass(time: Duration) {
    let (_keep, never) = mpsc::channel::<()>();
    let _ = never.recv_timeout(time);
}
