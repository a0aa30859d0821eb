//! The mirrors know every field of Istio's schema, and only those.

use super::{decode, destination_rule, gateway, service_entry, virtual_service};
use serde_json::{Value, json};

const SCHEMA: &str = include_str!("testdata/schema.txt");

/// The unknown fields of `spec`, or the type error.
fn unknown(kind: &str, spec: &Value) -> Result<Vec<String>, super::WrongType> {
    match kind {
        "Gateway" => decode::<gateway::Gateway>(spec, "spec").map(|decoded| decoded.unknown),
        "VirtualService" => decode::<virtual_service::VirtualService>(spec, "spec").map(|decoded| decoded.unknown),
        "DestinationRule" => decode::<destination_rule::DestinationRule>(spec, "spec").map(|decoded| decoded.unknown),
        "ServiceEntry" => decode::<service_entry::ServiceEntry>(spec, "spec").map(|decoded| decoded.unknown),
        kind => panic!("{kind}"),
    }
}

/// A spec that has `value` at `path` and nothing else.
pub(crate) fn spec_with(path: &str, value: Value) -> Value {
    path.rsplit('.').filter(|segment| *segment != "spec").fold(value, |value, segment| {
        if let Some(name) = segment.strip_suffix("[]") {
            json!({name: [value]})
        } else if let Some(name) = segment.strip_suffix("{}") {
            json!({name: {"key": value}})
        } else {
            json!({segment: value})
        }
    })
}

fn values(of_type: &str, choices: Option<&str>) -> Vec<Value> {
    match (of_type, choices) {
        (_, Some(choices)) => choices.split('|').map(Value::from).collect(),
        ("string", None) => vec![json!("text")],
        ("integer", None) => vec![json!(7)],
        ("number", None) => vec![json!(7), json!(0.5)],
        ("boolean", None) => vec![json!(true)],
        (other, None) => panic!("{other}"),
    }
}

#[test]
fn every_field_of_the_schema_is_known() {
    let mut leaves = 0;
    for line in SCHEMA.lines().filter(|line| !line.starts_with('#')) {
        let mut words = line.split(' ');
        let (kind, path, of_type) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
        for value in values(of_type, words.next()) {
            assert_eq!(unknown(kind, &spec_with(path, value.clone())), Ok(Vec::new()), "{kind} {path} {value}");
        }
        leaves += 1;
    }
    assert!(leaves > 400, "{leaves}");
}

#[test]
fn a_field_beside_every_field_of_the_schema_is_reported() {
    for line in SCHEMA.lines().filter(|line| !line.starts_with('#')) {
        let mut words = line.split(' ');
        let (kind, path) = (words.next().unwrap(), words.next().unwrap());
        let (parent, name) = path.rsplit_once('.').unwrap();
        // A map takes any key, so the odd one goes beside the map.
        let odd = format!("{parent}.{}Odd", name.trim_end_matches("{}").trim_end_matches("[]"));
        let expected = odd.replace("[]", "[0]").replace("{}", ".key");
        assert_eq!(unknown(kind, &spec_with(&odd, json!(1))), Ok(vec![expected]), "{kind} {path}");
    }
}

#[test]
fn a_wrong_type_is_located() {
    for (kind, spec, path) in [
        ("VirtualService", json!({"http": [{}, {"timeout": 3}]}), "spec.http[1].timeout"),
        ("VirtualService", json!({"http": {}}), "spec.http"),
        ("VirtualService", json!({"http": [{"route": [{"weight": "50"}]}]}), "spec.http[0].route[0].weight"),
        ("Gateway", json!({"servers": [{"tls": {"mode": "SIMPEL"}}]}), "spec.servers[0].tls.mode"),
        ("DestinationRule", json!({"subsets": [{"labels": {"version": 1}}]}), "spec.subsets[0].labels.version"),
        ("ServiceEntry", json!([]), "spec"),
    ] {
        let wrong = unknown(kind, &spec).unwrap_err();
        assert_eq!(wrong.path, path, "{wrong:?}");
    }
}
