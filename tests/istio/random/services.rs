//! Random services: Kubernetes' and entries, and the subsets of both. Their pods are the lab's.

use super::{NETWORKING, World, dice::Dice, policies};
use serde_json::{Value, json};

pub(super) fn services(dice: &mut Dice, world: &World) -> Vec<Value> {
    let mut objects: Vec<Value> = (0..dice.below(3)).map(|index| service(dice, world, index)).collect();
    objects.extend((0..dice.below(3)).map(|index| destination_rule(dice, world, index)));
    if dice.once_in(3) {
        objects.push(service_entry(dice, world));
    }
    objects
}

fn service(dice: &mut Dice, world: &World, index: usize) -> Value {
    let metadata = |annotations: Value| json!({"name": format!("{}-s{index}", world.name), "namespace": "default", "annotations": annotations});
    let annotations = match dice.below(8) {
        0 => json!({"networking.istio.io/exportTo": "."}),
        1 => json!({"networking.istio.io/exportTo": "istio-system"}),
        _ => json!({}),
    };
    if dice.once_in(8) {
        let target = dice.pick(&["a.default.svc.cluster.local", "unknown.test"]);
        return json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata(annotations),
            "spec": {"type": "ExternalName", "externalName": target, "ports": [{"name": "http", "port": 80}]},
        });
    }
    let mut ports = vec![json!({"name": "http", "port": 80, "targetPort": 8080})];
    if dice.once_in(3) {
        ports.push(json!({"name": "http-other", "port": 9090, "targetPort": 9091}));
    }
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(annotations),
        "spec": {"selector": {"app": dice.pick(&["a", "b", "reviews", "reviews", "spread", "none"])}, "ports": ports},
    })
}

fn destination_rule(dice: &mut Dice, world: &World, index: usize) -> Value {
    let host = match dice.below(4) {
        0 => world.host("api."),
        1 => world.host("*."),
        _ => format!("{}-s{}.default.svc.cluster.local", world.name, dice.below(2)),
    };
    let subset = |name: &str, labels: Value| json!({"name": name, "labels": labels});
    let mut subsets = vec![subset("v1", json!({"version": "v1"}))];
    if dice.once_in(2) {
        subsets.push(subset("v2", json!({"version": dice.pick(&["v1", "v2"])})));
    }
    if dice.once_in(2) {
        subsets.push(subset("none", json!({"version": "v9"})));
    }
    if dice.once_in(3) {
        subsets[0]["trafficPolicy"] = policies::of_service(dice);
    }
    let mut spec = json!({"host": host, "subsets": subsets});
    if dice.once_in(2) {
        spec["trafficPolicy"] = policies::of_service(dice);
    }
    if dice.once_in(5) {
        spec["exportTo"] = dice.pick(&[json!(["."]), json!(["istio-system"]), json!(["*"])]);
    }
    json!({
        "apiVersion": NETWORKING,
        "kind": "DestinationRule",
        "metadata": {
            "name": format!("{}-d{index}", world.name),
            "namespace": dice.pick(&["default", "default", "default", "team", "istio-system"]),
        },
        "spec": spec,
    })
}

fn service_entry(dice: &mut Dice, world: &World) -> Value {
    let app = dice.pick(&["a", "reviews", "none"]);
    json!({
        "apiVersion": NETWORKING,
        "kind": "ServiceEntry",
        "metadata": {"name": format!("{}-e", world.name), "namespace": "default"},
        "spec": {
            "hosts": [world.host("api.")],
            "ports": [{"number": 80, "name": "http", "protocol": "HTTP", "targetPort": 8080}],
            "resolution": "STATIC",
            "workloadSelector": {"labels": {"app": app}},
        },
    })
}
