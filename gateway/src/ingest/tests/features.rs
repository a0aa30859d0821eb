//! docs/features.md: every field of the schema has a row, whose state is what the code reports.

use super::super::{IngestContext, ingest, manifest::Manifest};
use crate::model::problem::ProblemKind;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

const SCHEMA: &str = include_str!("../../istio/testdata/schema.txt");
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/features.md");

/// Set to `features`, it rewrites the column of states.
const UPDATE: &str = "NODE_GATEWAY_UPDATE";

/// What the code says about a field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Reports {
    some: bool,
    none: bool,
}

impl Reports {
    /// The states a row may have.
    fn states(self) -> &'static [&'static str] {
        match (self.some, self.none) {
            (true, true) => &["partly"],
            (true, false) => &["reported"],
            _ => &["served", "ignored"],
        }
    }
}

/// The path under which the page has a field: traffic policies are the same in four places.
fn row_path(path: &str) -> String {
    let path =
        path.replace("spec.subsets[].trafficPolicy", "trafficPolicy").replace("spec.trafficPolicy", "trafficPolicy");
    path.replace(".portLevelSettings[]", "")
}

/// A spec that has `value` at `path`, and what stands around it for the value to mean something.
fn spec_with(kind: &str, path: &str, value: Value) -> Value {
    let mut spec = crate::istio::tests::spec_with(path, value);
    let around = match kind {
        "ServiceEntry" => vec![("hosts", json!(["*.example.com"])), ("resolution", json!("STATIC"))],
        "DestinationRule" => vec![("host", json!("a.com"))],
        "VirtualService" => vec![("hosts", json!(["a.com"]))],
        _ => Vec::new(),
    };
    for (field, value) in around {
        if spec.get(field).is_none() {
            spec[field] = value;
        }
    }
    spec
}

fn values(path: &str, of_type: &str, choices: Option<&str>) -> Vec<Value> {
    match (of_type, choices) {
        (_, Some(choices)) => choices.split('|').map(Value::from).collect(),
        _ if path.ends_with("port.protocol") => ["HTTP", "HTTPS", "TCP"].map(Value::from).to_vec(),
        ("string", _) => vec![json!("text"), json!("1s")],
        ("integer", _) => vec![json!(7)],
        ("number", _) => vec![json!(0.5)],
        _ => vec![json!(true)],
    }
}

fn is_reported(kind: &str, spec: &Value) -> bool {
    let object = json!({
        "apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": {"name": "n", "namespace": "ns"}, "spec": spec,
    });
    let manifest = Manifest::from_value(object, None, "default").unwrap().unwrap();
    let (_, problems) = ingest(&manifest, &IngestContext { cluster_domain: "cluster.local".into() });
    problems.iter().any(|problem| problem.kind == ProblemKind::NotServed)
}

/// What the code says about every field, by kind and path of its row.
fn reports() -> BTreeMap<(String, String), Reports> {
    let mut reports: BTreeMap<(String, String), Reports> = BTreeMap::new();
    for line in SCHEMA.lines().filter(|line| !line.starts_with('#')) {
        let mut words = line.split(' ');
        let (kind, path, of_type) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
        let choices = words.next();
        let known = reports.entry((kind.to_owned(), row_path(path))).or_default();
        for value in values(path, of_type, choices) {
            // A value that is the default says nothing.
            if matches!(value.as_str(), Some("UNSPECIFIED" | "DEFAULT" | "TLS_AUTO" | "FROM_PROTOCOL_DEFAULT")) {
                continue;
            }
            let is_reported = is_reported(kind, &spec_with(kind, path, value));
            known.some |= is_reported;
            known.none |= !is_reported && (choices.is_some() || path.ends_with("port.protocol"));
        }
    }
    reports
}

#[test]
fn every_field_has_a_row_with_its_state() {
    let reports = reports();
    let page = fs::read_to_string(PAGE).unwrap();
    let mut kind = String::new();
    let mut wrong = Vec::new();
    let mut rows = BTreeSet::new();
    let mut rewritten = String::new();
    for line in page.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            title.clone_into(&mut kind);
        }
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let path = cells.get(1).and_then(|cell| cell.strip_prefix('`')?.strip_suffix('`'));
        let Some((path, state)) = path.zip(cells.get(2).copied()) else {
            rewritten.push_str(&format!("{line}\n"));
            continue;
        };
        let key = (kind.clone(), path.to_owned());
        match reports.get(&key).map(|reports| reports.states()) {
            None => wrong.push(format!("{kind} {path} is no field")),
            Some(states) if states.contains(&state) => {}
            Some(states) => {
                wrong.push(format!("{kind} {path}: the page says {state}, the code {}", states.join(" or ")));
                rewritten.push_str(&format!(
                    "{}\n",
                    line.replacen(&format!("| {state} |"), &format!("| {} |", states[0]), 1)
                ));
                rows.insert(key);
                continue;
            }
        }
        rewritten.push_str(&format!("{line}\n"));
        rows.insert(key);
    }
    let missing = reports.keys().filter(|key| !rows.contains(*key));
    wrong.extend(missing.map(|(kind, path)| format!("{kind} {path} has no row")));
    if std::env::var(UPDATE).is_ok_and(|what| what == "features") {
        fs::write(PAGE, rewritten).unwrap();
        return;
    }
    assert!(wrong.is_empty(), "docs/features.md ({UPDATE}=features rewrites the states):\n{}", wrong.join("\n"));
}
