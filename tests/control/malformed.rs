//! Objects that are not what their schema says, stored by an API server that does not check.

use crate::lab::{self, GATEWAY, Lab, article, istio, split, until_answer, weights};
use harness::{
    kubernetes::{Cluster, Schema},
    traffic::{Client, Load},
    wait,
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, time::Duration};

/// One of each kind, wrong in the way its kind makes likely.
fn malformed() -> Vec<Value> {
    let object = |kind: &str, spec: Value| {
        let mut object = istio(kind, "malformed");
        object["spec"] = spec;
        object
    };
    vec![
        object("Gateway", json!({"selector": {"istio": "ingressgateway"}, "servers": "all of them"})),
        object("VirtualService", json!({"hosts": ["*"], "gateways": ["reviews-gateway"], "http": 7})),
        object("DestinationRule", json!({"host": "reviews", "subsets": {"v1": {}}})),
        object("ServiceEntry", json!({"hosts": 3, "ports": [{"number": "many"}]})),
    ]
}

#[test]
fn malformed_objects_change_no_other_answer() {
    lab::run("malformed_objects_change_no_other_answer", || {
        let mut lab = Lab::without_daemon(Cluster::start());
        lab.cluster.install_istio_crds(Schema::Off);
        lab.add_reviews();
        lab.start_daemon();
        lab.daemon().until_ready();
        lab.apply_article();
        let load = Load::start(GATEWAY, "reviews", "/reviews/0", 2, Duration::from_millis(2));

        let objects = lab.cluster.objects();
        objects.apply_all(&malformed());
        for kind in ["Gateway", "VirtualService", "DestinationRule", "ServiceEntry"] {
            lab.until_problem(&format!("{kind} default/malformed"));
        }
        // A good object made bad stays in force as it was.
        objects.merge(&istio("VirtualService", "reviews"), &json!({"spec": {"http": "none"}}));
        lab.until_problem("VirtualService default/reviews");
        let sent = split("reviews", "/reviews/0", 400);
        assert_eq!(sent.keys().map(String::as_str).collect::<BTreeSet<_>>(), BTreeSet::from(["v1", "v2"]), "{sent:?}");
        assert_eq!(Client::new(GATEWAY).get("reviews", "/ratings").expect("an answer").status, 404);

        // And it can be mended.
        objects.merge(&istio("VirtualService", "reviews"), &weights(0, 100));
        until_answer("reviews", "/reviews/0", |answer| answer.backend == "v2");
        let sent = load.stop();
        let failed = sent.iter().filter(|sent| !sent.succeeded()).count();
        println!("malformed: {} requests beside them, {failed} failed", sent.len());
        assert_eq!(failed, 0);

        // A gateway that meets them at its start serves the same.
        lab.daemon = None;
        lab.cluster.apply(&article());
        lab.start_daemon();
        lab.daemon().until_ready();
        let sent = split("reviews", "/reviews/0", 400);
        assert_eq!(sent.keys().map(String::as_str).collect::<BTreeSet<_>>(), BTreeSet::from(["v1", "v2"]), "{sent:?}");
        assert_eq!(lab.backend("v3").requests(), 0);
    });
}

impl Lab {
    /// Waits until the gateway tells the author of `object` what is wrong.
    fn until_problem(&mut self, object: &str) {
        let daemon = self.daemon();
        wait::until(&format!("a problem of {object}"), lab::PATIENCE, || {
            daemon.process.output().contains(object).then_some(())
        });
    }
}
