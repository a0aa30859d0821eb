//! API servers that do not have what they should, and lists that have to be made again.

use crate::lab::{self, GATEWAY, Lab, istio, split, until_answer, weights};
use harness::{
    kubernetes::{Cluster, SERVER, Schema},
    traffic::Load,
    wait,
};
use serde_json::{Value, json};
use std::time::Duration;

const PLURALS: [&str; 4] = ["gateways", "virtualservices", "destinationrules", "serviceentries"];

/// Makes the API server serve every kind of Istio's in `versions` only.
fn serve_only(cluster: &Cluster, versions: &[&str]) {
    for plural in PLURALS {
        let crd = format!("{plural}.networking.istio.io");
        let names = cluster.kubectl(&["get", "crd", &crd, "-o", "jsonpath={.spec.versions[*].name}"]);
        let patch: Vec<Value> = names
            .split_whitespace()
            .enumerate()
            .map(|(index, name)| {
                let served = versions.contains(&name);
                json!({"op": "replace", "path": format!("/spec/versions/{index}/served"), "value": served})
            })
            .collect();
        cluster.kubectl(&["patch", "crd", &crd, "--type=json", "-p", &Value::from(patch).to_string()]);
    }
}

#[test]
fn the_newest_version_that_is_served_is_used() {
    lab::run("the_newest_version_that_is_served_is_used", || {
        let mut lab = Lab::without_daemon(Cluster::start());
        lab.cluster.install_istio_crds(Schema::Istios);
        serve_only(&lab.cluster, &["v1alpha3"]);
        lab.add_reviews();
        lab.start_daemon();
        lab.daemon().until_ready();
        wait::until("the article's objects are taken", lab::PATIENCE, || lab.cluster.try_apply(&lab::article()).ok());
        until_answer("reviews", "/reviews/0", |answer| answer.status == 200);

        // An upgrade takes the version away that is being watched.
        let load = Load::start(GATEWAY, "reviews", "/reviews/0", 2, Duration::from_millis(5));
        serve_only(&lab.cluster, &["v1beta1"]);
        let mut id = istio("VirtualService", "reviews");
        id["apiVersion"] = json!("networking.istio.io/v1beta1");
        wait::until("the new version is served", lab::PATIENCE, || {
            lab.cluster.objects().try_merge(&id, &weights(0, 100)).ok()
        });
        wait::until("only v2 answers", lab::PATIENCE * 2, || {
            let sent = split("reviews", "/reviews/0", 20);
            (sent.get("v2") == Some(&20)).then_some(())
        });
        let sent = load.stop();
        let failed: Vec<_> = sent.iter().filter(|sent| !sent.succeeded()).collect();
        assert!(failed.is_empty(), "{} of {} failed, first {:?}", failed.len(), sent.len(), failed[0]);
    });
}

#[test]
fn an_api_server_without_endpoint_slices_is_named() {
    lab::run("an_api_server_without_endpoint_slices_is_named", || {
        let mut lab = Lab::without_daemon(Cluster::start_stopped());
        lab.cluster.start_apiserver_with(&["--runtime-config=discovery.k8s.io/v1=false"]);
        lab.cluster.install_istio_crds(Schema::Istios);
        lab.start_daemon();
        lab.until_not_ready_because(&["first list of EndpointSlice (", "does not serve discovery.k8s.io/v1", "1.21"]);
        assert_eq!(lab.lines_with("discovery.k8s.io/v1"), 1);

        // Upgraded.
        lab.cluster.kill_apiserver();
        lab.cluster.start_apiserver();
        lab.add_reviews();
        lab.daemon().until_ready();
        lab.apply_article();
    });
}

#[test]
fn a_crd_that_is_deleted_takes_its_objects_and_nothing_else() {
    lab::run("a_crd_that_is_deleted_takes_its_objects_and_nothing_else", || {
        let mut lab = Lab::start();
        lab.apply_article();
        let load = Load::start(GATEWAY, "reviews", "/reviews/0", 2, Duration::from_millis(5));
        lab.cluster.kubectl(&["delete", "crd", "serviceentries.networking.istio.io"]);
        wait::until("the gateway to miss it", lab::PATIENCE * 2, || {
            (lab.lines_with("install Istio's CRDs") == 1).then_some(())
        });
        assert!(lab.daemon().is_ready());
        // The other kinds are followed as before.
        lab.cluster.objects().merge(&istio("VirtualService", "reviews"), &weights(0, 100));
        wait::until("only v2 answers", lab::PATIENCE, || {
            (split("reviews", "/reviews/0", 20).get("v2") == Some(&20)).then_some(())
        });
        let sent = load.stop();
        assert_eq!(sent.iter().filter(|sent| !sent.succeeded()).count(), 0, "of {}", sent.len());

        lab.cluster.install_istio_crds(Schema::Istios);
        wait::until("the kind is followed again", lab::PATIENCE * 2, || {
            let (_, metrics) = lab.daemon().admin("/metrics")?;
            metrics.contains("gateway_source_synced{kind=\"ServiceEntry\"} 1").then_some(())
        });
    });
}

#[test]
fn a_watch_that_has_expired_is_listed_again() {
    lab::run("a_watch_that_has_expired_is_listed_again", || {
        let mut lab = Lab::without_daemon(Cluster::start());
        lab.cluster.install_istio_crds(Schema::Istios);
        lab.add_reviews();
        let kubeconfig = lab.cluster.write_kubeconfig("gateway.kubeconfig", SERVER, harness::kubernetes::GATEWAY_TOKEN);
        lab.start_daemon_with(&kubeconfig, &[]);
        lab.daemon().until_ready();
        lab.apply_article();
        lab.cluster.apply(
            "{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: doomed, namespace: default},
              spec: {hosts: [doomed.test], gateways: [reviews-gateway],
                     http: [{directResponse: {status: 201}}]}}",
        );
        until_answer("doomed.test", "/", |answer| answer.status == 201);
        let load = Load::start(GATEWAY, "reviews", "/reviews/0", 2, Duration::from_millis(5));

        // Where the gateway cannot see it, an object is deleted, another one changed, and the history thrown away.
        lab.cluster.kill_apiserver();
        lab.cluster.start_apiserver_with(&["--secure-port=6444"]);
        let objects = lab.cluster.objects();
        objects.delete(&istio("VirtualService", "doomed"));
        objects.merge(&istio("VirtualService", "reviews"), &weights(0, 100));
        lab.cluster.compact();
        lab.cluster.kill_apiserver();
        lab.cluster.start_apiserver();

        until_answer("doomed.test", "/", |answer| answer.status == 404);
        wait::until("only v2 answers", lab::PATIENCE, || {
            (split("reviews", "/reviews/0", 20).get("v2") == Some(&20)).then_some(())
        });
        assert!(lab.lines_with("has lost our place") > 0, "{}", lab.daemon().process.output());
        let sent = load.stop();
        assert_eq!(sent.iter().filter(|sent| !sent.succeeded()).count(), 0, "of {}", sent.len());
    });
}
