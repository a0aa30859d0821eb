//! No input makes ingest panic, and no rule with conditions ever becomes one without.

use super::{context, read};
use crate::{
    ingest::{ingest, manifest::Manifest},
    model::resource::Resource,
};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

const SCHEMA: &str = include_str!("../../istio/testdata/schema.txt");

/// A value of any type; strings that mean something to some field are frequent.
fn leaf() -> impl Strategy<Value = Value> {
    let words = prop::sample::select(vec![
        "",
        "*",
        "*.a.com",
        "a",
        "a.b",
        "ns/a",
        "./a",
        "/",
        "/x",
        "mesh",
        "HTTP",
        "GET",
        "10.0.0.1",
        "1s",
        "0s",
        "%",
        "%REQ(a)%",
        "%%",
        "(",
        "[a-",
        "{",
        r"\1",
        "(?i)a{2}",
        "a\nb",
        "~",
        ".",
        "http",
        "é",
        "unix:///a",
        "SIMPLE",
        "STATIC",
        "host",
        ":path",
        "@request.auth.claims.a",
        "FROM_REQUEST_PORT",
    ]);
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (0u32..70_000).prop_map(Value::from),
        any::<f64>().prop_map(|n| json!(n)),
        words.prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ]
}

fn anything() -> impl Strategy<Value = Value> {
    leaf().prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((".{0,8}", inner), 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// Puts `value` at `path`, growing lists and maps on the way, beside what is there.
fn put(spec: &mut Value, path: &str, value: Value) {
    let mut at = spec;
    for segment in path.split('.').skip(1) {
        let name = segment.trim_end_matches("[]").trim_end_matches("{}");
        if !at.is_object() {
            *at = Value::Object(Map::new());
        }
        at = &mut at[name];
        if segment.ends_with("[]") {
            if !at.is_array() {
                *at = json!([null]);
            }
            at = &mut at[0];
        } else if segment.ends_with("{}") {
            if !at.is_object() {
                *at = json!({});
            }
            at = &mut at["key"];
        }
    }
    *at = value;
}

/// A spec of `kind` with some of its fields set, mostly to values of the right type.
fn spec() -> impl Strategy<Value = (&'static str, Value)> {
    let lines: Vec<&'static str> = SCHEMA.lines().filter(|line| !line.starts_with('#')).collect();
    let kinds = vec!["Gateway", "VirtualService", "DestinationRule", "ServiceEntry"];
    prop::sample::select(kinds).prop_flat_map(move |kind| {
        let paths: Vec<&'static str> =
            lines.iter().filter_map(|line| line.strip_prefix(kind)?.trim_start().split(' ').next()).collect();
        let fields = prop::collection::vec((prop::sample::select(paths), leaf()), 0..12);
        fields.prop_map(move |fields| {
            let mut spec = json!({});
            for (path, value) in fields {
                put(&mut spec, path, value);
            }
            (kind, spec)
        })
    })
}

fn run(object: Value) {
    if let Ok(Some(manifest)) = Manifest::from_value(object, None, "default") {
        let (resource, problems) = ingest(&manifest, &context());
        for problem in &problems {
            assert!(!problem.message.is_empty());
            assert_eq!(problem.object.as_ref(), Some(manifest.id()));
        }
        if let Some(resource) = resource {
            assert_eq!(&resource.meta().id, manifest.id());
            check_no_rule_is_wider(&manifest, &resource);
        } else if manifest.kind().is_istio() {
            assert!(!problems.is_empty(), "an object is left out and nobody is told");
        }
    }
}

/// A rule that was written with matches still has some.
fn check_no_rule_is_wider(manifest: &Manifest, resource: &Resource) {
    let Resource::VirtualService(routes) = resource else { return };
    for rule in &routes.http {
        let written = &manifest.object["spec"]["http"][rule.index]["match"];
        let has_matches = written.as_array().is_some_and(|list| !list.is_empty());
        assert_eq!(has_matches, !rule.matches.is_empty(), "{written}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn specs_near_the_schema_never_panic((kind, spec) in spec()) {
        run(json!({"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": {"name": "a"}, "spec": spec}));
    }

    #[test]
    fn any_object_never_panics(kind in 0usize..7, spec in anything(), metadata in anything(), status in anything()) {
        let kind = crate::model::object::Kind::ALL[kind];
        let api_version = if kind.group().is_empty() { "v1".to_owned() } else { format!("{}/v1", kind.group()) };
        let mut metadata = metadata;
        if let Some(metadata) = metadata.as_object_mut() {
            metadata.insert("name".to_owned(), json!("a"));
            metadata.insert("labels".to_owned(), json!({"kubernetes.io/service-name": "s"}));
        }
        let endpoints = spec.clone();
        run(json!({"apiVersion": api_version, "kind": kind.name(), "metadata": metadata, "spec": spec, "status": status,
            "endpoints": [endpoints], "ports": [status.clone()]}));
    }

    #[test]
    fn any_text_never_panics(text in "[ -~\n\té]{0,200}") {
        read(&text);
    }

    #[test]
    fn any_expression_compiles_or_is_refused(pattern in r"[\[\](){}|*+?.^$\\a-cQEdwsbpxP0-9,:&~<>=!-]{0,24}") {
        read(&format!(
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: a}}\nspec: {{http: [{{match: [{{uri: {{regex: {}}}}}]}}]}}",
            json!(pattern)
        ));
    }
}
