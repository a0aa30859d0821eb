//! The article's three objects, unchanged, by `kubectl apply`.

use crate::lab::{self, GATEWAY, Lab, article, istio, pod, split, until_answer};
use harness::traffic::get_once;
use serde_json::json;
use std::collections::BTreeSet;

#[test]
fn the_article_splits_its_requests() {
    lab::run("the_article_splits_its_requests", || {
        let lab = Lab::start();
        lab.apply_article();

        let sent = split("reviews", "/reviews/0", 1_000);
        println!("article: 1,000 requests over {sent:?}");
        for version in ["v1", "v2"] {
            let count = sent.get(version).copied().unwrap_or_default();
            assert!((440..=560).contains(&count), "{version} got {count} of 1,000");
        }
        assert_eq!(sent.values().sum::<usize>(), 1_000);
        assert_eq!(sent.keys().map(String::as_str).collect::<BTreeSet<_>>(), BTreeSet::from(["v1", "v2"]));
        assert_eq!(lab.backend("v3").requests(), 0, "v3 is in no route");

        for host in ["reviews", "reviews.default.svc.cluster.local", "anything.example", "10.0.0.7:8443"] {
            let answer = get_once(GATEWAY, host, "/reviews/0").expect("an answer");
            assert_eq!(answer.status, 200, "any Host is welcome: {host}");
            assert_eq!(answer.body, format!("GET /reviews/0 HTTP/1.1\n{host}\n"), "the backend sees what was sent");
        }
        let path = "/reviews/0?x=%20y&z=/../";
        let answer = get_once(GATEWAY, "reviews", path).expect("an answer");
        assert_eq!(answer.body, format!("GET {path} HTTP/1.1\nreviews\n"));
        assert_eq!(get_once(GATEWAY, "reviews", "/ratings/0").expect("an answer").status, 404);
    });
}

#[test]
fn a_deleted_virtual_service_is_gone_and_comes_back() {
    lab::run("a_deleted_virtual_service_is_gone_and_comes_back", || {
        let lab = Lab::start();
        lab.apply_article();
        lab.cluster.kubectl(&["delete", "virtualservice", "reviews"]);
        let answer = until_answer("reviews", "/reviews/0", |answer| answer.status == 404);
        assert_eq!(answer.body, "");
        lab.cluster.apply(&article());
        until_answer("reviews", "/reviews/0", |answer| answer.status == 200);
        assert_eq!(lab.backend("v3").requests(), 0);
    });
}

#[test]
fn a_pod_without_the_label_leaves_its_subset() {
    lab::run("a_pod_without_the_label_leaves_its_subset", || {
        let lab = Lab::start();
        lab.apply_article();
        let objects = lab.cluster.objects();
        objects.merge(&pod("v1"), &json!({"metadata": {"labels": {"version": null}}}));
        // The subset has no endpoint left, and its share of the requests no destination.
        until_answer("reviews", "/reviews/0", |answer| answer.status == 503);
        let sent = split("reviews", "/reviews/0", 200);
        println!("v1 without its label: 200 requests over {sent:?}");
        assert_eq!(sent.keys().map(String::as_str).collect::<BTreeSet<_>>(), BTreeSet::from(["503", "v2"]));

        objects.merge(&pod("v3"), &json!({"metadata": {"labels": {"version": "v1"}}}));
        until_answer("reviews", "/reviews/0", |answer| answer.backend == "v3");
        let sent = split("reviews", "/reviews/0", 200);
        assert_eq!(sent.keys().map(String::as_str).collect::<BTreeSet<_>>(), BTreeSet::from(["v2", "v3"]), "{sent:?}");

        objects.merge(
            &istio("DestinationRule", "reviews"),
            &json!({"spec": {"subsets": [{"name": "v2", "labels": {"version": "v2"}}]}}),
        );
        until_answer("reviews", "/reviews/0", |answer| answer.status == 503 && answer.body.is_empty());
    });
}
