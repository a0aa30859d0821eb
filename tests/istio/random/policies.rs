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
        // A millionth of the requests is none of them, but a number to compare.
        let percent =
            dice.pick(&[json!({"value": 0}), json!({"value": 100}), json!({"value": 100}), json!({"value": 0.0001})]);
        let mut abort = dice.pick(&[
            json!({"httpStatus": 418}),
            json!({"httpStatus": 503}),
            json!({"httpStatus": 555}),
            json!({"grpcStatus": "UNAVAILABLE"}),
            json!({"grpcStatus": "OK"}),
        ]);
        if !dice.once_in(8) {
            abort["percentage"] = percent;
        }
        let mut fault = json!({"abort": abort});
        if dice.once_in(4) {
            fault["delay"] = json!({"fixedDelay": "1ms", "percentage": {"value": dice.pick(&[0.0, 0.0001, 100.0])}});
        }
        fault
    });
    sometimes(6, "corsPolicy", &mut cors);
    if dice.once_in(8) {
        let mirror = actions::destination(dice, world);
        let percent = |dice: &mut Dice| {
            dice.pick(&[json!({}), json!({"value": 0}), json!({"value": 100}), json!({"value": 33.333_39})])
        };
        if dice.once_in(2) {
            rule.insert("mirror".to_owned(), mirror);
            match dice.below(4) {
                0 => {}
                1 => _ = rule.insert("mirrorPercent".to_owned(), dice.pick(&[json!(0), json!(50)])),
                _ => _ = rule.insert("mirrorPercentage".to_owned(), percent(dice)),
            }
        } else {
            let second = actions::destination(dice, world);
            let mut mirrors = json!([{"destination": mirror, "percentage": percent(dice)}, {"destination": second}]);
            if dice.once_in(2) {
                mirrors[1]["percentage"] = percent(dice);
            }
            rule.insert("mirrors".to_owned(), mirrors);
        }
    }
}

fn retries(dice: &mut Dice) -> Value {
    let attempts = dice.pick(&[0, 1, 2, 3]);
    if attempts == 0 {
        return json!({"attempts": 0});
    }
    let mut retries = json!({"attempts": attempts, "backoff": dice.pick(&["1ms", "2ms"])});
    if dice.once_in(2) {
        let conditions = [
            "5xx",
            "gateway-error",
            "retriable-4xx",
            "500,409",
            "connect-failure",
            "103,0503",
            "retriable-status-codes",
        ];
        retries["retryOn"] = json!(dice.pick(&conditions));
    }
    if dice.once_in(4) {
        retries["perTryTimeout"] = json!(dice.pick(&["20s", "1m0.5s"]));
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
    sometimes("unmatchedPreflights", json!(dice.pick(&["IGNORE", "FORWARD", "UNSPECIFIED"])), dice.once_in(2));
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
        policy["retryBudget"] = dice.pick(&[
            json!({"percent": 50, "minRetryConcurrency": 10}),
            json!({"percent": 12.5, "minRetryConcurrency": 20, "budgetInterval": "2s"}),
            json!({"minRetryConcurrency": 30}),
        ]);
    }
    policy
}

fn blocks(dice: &mut Dice) -> Value {
    let mut blocks = json!({"loadBalancer": load_balancer(dice)});
    if dice.once_in(3) {
        // Nobody is ejected: whether somebody is depends on what was asked before.
        blocks["outlierDetection"] = dice.pick(&[
            json!({"consecutive5xxErrors": 0}),
            json!({"consecutive5xxErrors": 100_000, "consecutiveGatewayErrors": 90_000, "minHealthPercent": 40}),
            json!({"consecutive5xxErrors": 100_000, "interval": "7s", "baseEjectionTime": "90s", "maxEjectionPercent": 70}),
            json!({
                "consecutive5xxErrors": 0,
                "splitExternalLocalOriginErrors": true,
                "consecutiveLocalOriginFailures": 80_000,
            }),
        ]);
    }
    if dice.once_in(4) {
        blocks["connectionPool"] = dice.pick(&[
            json!({"tcp": {"maxConnections": 1000, "connectTimeout": "5s"}}),
            json!({"tcp": {"maxConnectionDuration": "30s", "idleTimeout": "20s", "tcpKeepalive": {"time": "7500ms", "probes": 4}}}),
            json!({"tcp": {"idleTimeout": "500us", "tcpKeepalive": {"time": "5ms", "interval": "3s"}}}),
            json!({"http": {"http1MaxPendingRequests": 1000, "http2MaxRequests": 1000}}),
            json!({"http": {"maxRequestsPerConnection": 1}}),
            json!({"http": {"idleTimeout": "90s", "maxRetries": 500}, "tcp": {"idleTimeout": "0s"}}),
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
    if dice.once_in(6) {
        // Over before the first request, and of no effect on most algorithms.
        let warmup = [json!({"duration": "1ms"}), json!({"duration": "2ms", "minimumPercent": 25, "aggression": 0.5})];
        balancer["warmup"] = dice.pick(&warmup);
    }
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
