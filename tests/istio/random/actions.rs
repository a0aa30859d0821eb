//! Random actions: what a rule does with the requests it takes.

use super::{World, dice::Dice, policies};
use serde_json::{Map, Value, json};

/// A rule without its conditions.
pub(super) fn action(dice: &mut Dice, world: &World) -> Value {
    let mut rule = Map::new();
    match dice.below(8) {
        0 => _ = rule.insert("redirect".to_owned(), redirect(dice)),
        1 => _ = rule.insert("directResponse".to_owned(), direct_response(dice)),
        _ => {
            rule.insert("route".to_owned(), Value::Array(route(dice, world)));
            if dice.once_in(3) {
                rule.insert("rewrite".to_owned(), rewrite(dice));
            }
            policies::of_rule(dice, world, &mut rule);
        }
    }
    if dice.once_in(4) {
        rule.insert("headers".to_owned(), headers(dice));
    }
    Value::Object(rule)
}

fn route(dice: &mut Dice, world: &World) -> Vec<Value> {
    // Shares are never so small that one stays unseen in a few draws.
    let weights: &[u32] = dice.pick(&[&[100][..], &[100], &[50, 50], &[30, 70], &[0, 100], &[40, 20, 40]]);
    let several = weights.len() > 1;
    weights
        .iter()
        .map(|weight| {
            let mut destination = json!({"destination": destination(dice, world)});
            if several || dice.once_in(2) {
                destination["weight"] = json!(weight);
            }
            if dice.once_in(6) {
                destination["headers"] = headers(dice);
            }
            destination
        })
        .collect()
}

pub(super) fn destination(dice: &mut Dice, world: &World) -> Value {
    let mut destination = Map::new();
    let host = match dice.below(12) {
        0 => "a".to_owned(),
        1 => "b.default.svc.cluster.local".to_owned(),
        2 => "c.team.svc.cluster.local".to_owned(),
        3 => "reviews.default.svc.cluster.local".to_owned(),
        4 => "many.default.svc.cluster.local".to_owned(),
        5 => "empty.default.svc.cluster.local".to_owned(),
        6 => "nosuch".to_owned(),
        7 => world.host("api."),
        8 => "reviews.default".to_owned(),
        _ => format!("{}-s{}.default.svc.cluster.local", world.name, dice.below(2)),
    };
    destination.insert("host".to_owned(), json!(host));
    if dice.once_in(3) {
        destination.insert("subset".to_owned(), json!(dice.pick(&["v1", "v2", "none", "unknown"])));
    }
    if dice.once_in(3) {
        destination.insert("port".to_owned(), json!({"number": dice.pick(&[80, 9080, 9090, 81])}));
    }
    Value::Object(destination)
}

fn redirect(dice: &mut Dice) -> Value {
    let mut redirect = Map::new();
    let mut sometimes = |name: &str, value: Value, yes: bool| {
        if yes {
            redirect.insert(name.to_owned(), value);
        }
    };
    sometimes("uri", json!(dice.pick(&["/n", "/n?x=1", "/"])), dice.once_in(2));
    sometimes("authority", json!("new.test"), dice.once_in(2));
    sometimes("scheme", json!(dice.pick(&["http", "https"])), dice.once_in(3));
    match dice.below(4) {
        0 => sometimes("port", json!(dice.pick(&[80, 443, 8443])), true),
        1 => sometimes("derivePort", json!(dice.pick(&["FROM_REQUEST_PORT", "FROM_PROTOCOL_DEFAULT"])), true),
        _ => {}
    }
    sometimes("redirectCode", json!(dice.pick(&[301, 302, 303, 307, 308])), dice.once_in(2));
    if redirect.keys().all(|name| name == "redirectCode" || name == "derivePort") {
        redirect.insert("authority".to_owned(), json!("new.test"));
    }
    Value::Object(redirect)
}

fn direct_response(dice: &mut Dice) -> Value {
    let status = dice.pick(&[200, 201, 204, 307, 404, 503]);
    let mut response = json!({"status": status});
    // Envoy sends a body with 204, which nobody can read.
    if dice.once_in(2) && status != 204 {
        response["body"] = json!({"string": "direct"});
    }
    response
}

fn rewrite(dice: &mut Dice) -> Value {
    match dice.below(4) {
        0 => json!({"authority": "rewritten.test"}),
        1 => json!({"uri": dice.pick(&["/", "/new", "/new/"]), "authority": "rewritten.test:81"}),
        2 => dice.pick(&[
            json!({"uriRegexRewrite": {"match": "^/a/(.*)$", "rewrite": "/\\1/a"}}),
            json!({"uriRegexRewrite": {"match": "[ab]", "rewrite": "x"}}),
        ]),
        _ => json!({"uri": dice.pick(&["/", "/new", "/new/"])}),
    }
}

fn headers(dice: &mut Dice) -> Value {
    let mut headers = Map::new();
    for side in ["request", "response"] {
        let mut operations = Map::new();
        if dice.once_in(2) {
            let value = dice.pick(&["s", "%PROTOCOL%", "a %REQ(x-h)% b", "100%%"]);
            operations.insert("set".to_owned(), json!({dice.pick(&["x-h", "x-set"]): value}));
        }
        if dice.once_in(2) {
            operations.insert("add".to_owned(), json!({dice.pick(&["x-h", "x-add"]): "a"}));
        }
        if dice.once_in(2) {
            operations.insert("remove".to_owned(), json!([dice.pick(&["x-i", "content-type", "x-set"])]));
        }
        if !operations.is_empty() {
            headers.insert(side.to_owned(), Value::Object(operations));
        }
    }
    if headers.is_empty() {
        headers.insert("request".to_owned(), json!({"set": {"x-set": "only"}}));
    }
    Value::Object(headers)
}
