//! Random policies of rules and services: everything that does not depend on time.

use super::{World, actions, dice::Dice};
use serde_json::{Map, Value, json};

/// What requests ask pods to do besides answering well, and CORS.
pub(super) const FIELDS: &[(&str, &str)] = &[
    ("x-echo-status", "503"),
    ("x-echo-status", "500"),
    ("x-echo-status", "409"),
    ("x-echo-until", "2"),
    ("x-echo-until", "3"),
    ("origin", "http://a.test"),
    ("origin", "http://b.test"),
    ("access-control-request-method", "GET"),
    ("access-control-request-method", "PUT"),
];

/// Adds policies to a rule that forwards.
pub(super) fn of_rule(dice: &mut Dice, world: &World, rule: &mut Map<String, Value>) {
    let mut sometimes = |times, name: &str, draw: &mut dyn FnMut(&mut Dice) -> Value| {
        if dice.once_in(times) {
            let value = draw(dice);
            rule.insert(name.to_owned(), value);
        }
    };
    sometimes(5, "retries", &mut retries);
    sometimes(8, "fault", &mut |dice| {
        let percent = dice.pick(&[0, 100, 100]);
        json!({"abort": {"httpStatus": dice.pick(&[418, 503, 555]), "percentage": {"value": percent}}})
    });
    sometimes(6, "corsPolicy", &mut cors);
    if dice.once_in(8) {
        let mirror = actions::destination(dice, world);
        let percent = dice.pick(&[0, 100]);
        if dice.once_in(2) {
            rule.insert("mirror".to_owned(), mirror);
            rule.insert("mirrorPercentage".to_owned(), json!({"value": percent}));
        } else {
            rule.insert("mirrors".to_owned(), json!([{"destination": mirror, "percentage": {"value": percent}}]));
        }
    }
}

fn retries(dice: &mut Dice) -> Value {
    let attempts = dice.pick(&[0, 1, 2, 3]);
    if attempts == 0 {
        return json!({"attempts": 0});
    }
    let mut retries = json!({"attempts": attempts, "backoff": "1ms"});
    if dice.once_in(2) {
        retries["retryOn"] = json!(dice.pick(&["5xx", "gateway-error", "retriable-4xx", "500,409", "connect-failure"]));
    }
    if dice.once_in(3) {
        retries["retryIgnorePreviousHosts"] = json!(dice.once_in(2));
    }
    if dice.once_in(4) {
        retries["retryRemoteLocalities"] = json!(true);
    }
    retries
}

fn cors(dice: &mut Dice) -> Value {
    let origins = dice.pick(&[
        json!([{"exact": "http://a.test"}]),
        json!([{"prefix": "http://"}]),
        json!([{"regex": "http://[ab]\\.test"}, {"exact": "*"}]),
        json!([{"exact": "http://other.test"}]),
    ]);
    let mut cors = json!({"allowOrigins": origins});
    let mut sometimes = |name: &str, value: Value, yes: bool| {
        if yes {
            cors[name] = value;
        }
    };
    sometimes("allowMethods", json!(["GET", "POST"]), dice.once_in(2));
    sometimes("allowHeaders", json!(["x-h", "x-i"]), dice.once_in(2));
    sometimes("exposeHeaders", json!(["x-set"]), dice.once_in(3));
    sometimes("maxAge", json!("1h"), dice.once_in(3));
    sometimes("allowCredentials", json!(dice.once_in(2)), dice.once_in(3));
    cors
}

/// A traffic policy; never empty, since an empty one is refused.
pub(super) fn of_service(dice: &mut Dice) -> Value {
    let mut policy = blocks(dice);
    if dice.once_in(4) {
        let mut settings = blocks(dice);
        settings["port"] = json!({"number": dice.pick(&[80, 9090])});
        policy["portLevelSettings"] = json!([settings]);
    }
    if dice.once_in(6) {
        policy["retryBudget"] = json!({"percent": 50, "minRetryConcurrency": 10});
    }
    policy
}

fn blocks(dice: &mut Dice) -> Value {
    let mut blocks = json!({"loadBalancer": load_balancer(dice)});
    if dice.once_in(3) {
        // Nobody is ejected: whether somebody is depends on what was asked before.
        blocks["outlierDetection"] = json!({"consecutive5xxErrors": 0});
    }
    if dice.once_in(4) {
        blocks["connectionPool"] = dice.pick(&[
            json!({"tcp": {"maxConnections": 1000, "connectTimeout": "5s"}}),
            json!({"http": {"http1MaxPendingRequests": 1000, "http2MaxRequests": 1000}}),
            json!({"http": {"maxRequestsPerConnection": 1}}),
        ]);
    }
    if dice.once_in(6) {
        blocks["tls"] = json!({"mode": "DISABLE"});
    }
    blocks
}

fn load_balancer(dice: &mut Dice) -> Value {
    let mut balancer = dice.pick(&[
        json!({"simple": "ROUND_ROBIN"}),
        json!({"simple": "LEAST_REQUEST"}),
        json!({"simple": "RANDOM"}),
        json!({"simple": "PASSTHROUGH"}),
        json!({"consistentHash": {"httpHeaderName": "x-h"}}),
        json!({"consistentHash": {"httpQueryParameterName": "q", "ringHash": {"minimumRingSize": 64}}}),
        json!({"consistentHash": {"httpHeaderName": "x-i", "maglev": {"tableSize": 1009}}}),
    ]);
    if dice.once_in(3) {
        balancer["localityLbSetting"] = dice.pick(&[
            json!({"enabled": false}),
            json!({"failover": [{"from": "here", "to": "there"}]}),
            json!({"failoverPriority": ["topology.kubernetes.io/region", "version"]}),
            json!({"distribute": [{"from": "*", "to": {"here/zone1/*": 60, "here/zone2/*": 40}}]}),
        ]);
    }
    balancer
}
