//! Random conditions: every field of HTTPMatchRequest that a gateway looks at.

use super::{PATHS, World, dice::Dice};
use serde_json::{Map, Value, json};

pub(super) const FIELDS: &[&str] = &["x-h", "x-i"];
pub(super) const VALUES: &[&str] = &["v", "w", "vw", "V", "v,w"];

const REGEXES: &[&str] = &[".*", "/a.*", "/[ab]/?", "/reviews/\\d+", "(?i)/A/b", "/a|/ab", "/api/(v1|v2)/.*"];
const METHODS: &[&str] = &["GET", "POST", "PUT"];

/// One entry of a rule's `match`; never empty, since an empty one is refused.
pub(super) fn entry(dice: &mut Dice, world: &World, gateways: &[String]) -> Value {
    let mut entry = Map::new();
    if !dice.once_in(5) {
        entry.insert("uri".to_owned(), uri(dice));
        if dice.once_in(5) {
            entry.insert("ignoreUriCase".to_owned(), json!(true));
        }
    }
    let mut sometimes = |times, name: &str, draw: &mut dyn FnMut(&mut Dice) -> Value| {
        if dice.once_in(times) {
            let value = draw(dice);
            entry.insert(name.to_owned(), value);
        }
    };
    sometimes(12, "scheme", &mut |dice| json!({"exact": dice.pick(&["http", "https"])}));
    sometimes(6, "method", &mut |dice| json!({"exact": dice.pick(METHODS)}));
    sometimes(10, "authority", &mut |dice| {
        let host = world.host(dice.pick(&["a.x.", "c."]));
        dice.pick(&[json!({"prefix": "a."}), json!({"exact": host}), json!({"regex": ".*:80"})])
    });
    sometimes(4, "headers", &mut |dice| json!({dice.pick(FIELDS): value(dice)}));
    sometimes(8, "withoutHeaders", &mut |dice| json!({dice.pick(FIELDS): value(dice)}));
    sometimes(6, "queryParams", &mut |dice| json!({"q": value(dice)}));
    sometimes(10, "port", &mut |dice| json!(dice.pick(&[80, 8080, world.own_port])));
    sometimes(10, "gateways", &mut |dice| json!([dice.pick(gateways)]));
    sometimes(14, "sourceLabels", &mut |dice| json!({"istio": dice.pick(&["ingressgateway", "other"])}));
    sometimes(14, "sourceNamespace", &mut |dice| json!(dice.pick(&["istio-system", "default"])));
    if entry.is_empty() {
        entry.insert("uri".to_owned(), uri(dice));
    }
    Value::Object(entry)
}

fn uri(dice: &mut Dice) -> Value {
    match dice.below(5) {
        0 => json!({"regex": dice.pick(REGEXES)}),
        1 | 2 => json!({"exact": dice.pick(PATHS)}),
        _ => json!({"prefix": dice.pick(PATHS)}),
    }
}

fn value(dice: &mut Dice) -> Value {
    match dice.below(5) {
        0 => json!({}),
        1 => json!({"regex": dice.pick(&["v|w", ".*", "v+", "[a-z]*"])}),
        2 => json!({"prefix": "v"}),
        _ => json!({"exact": dice.pick(VALUES)}),
    }
}
