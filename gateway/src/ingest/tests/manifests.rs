//! Texts of YAML and JSON documents.

use crate::{
    ingest::manifest::{Parsed, parse},
    model::problem::ProblemKind,
};

fn read(text: &str) -> Parsed {
    parse(text, "a.yaml", "fallback")
}

/// Checks the objects in `text` as `Kind namespace/name source`, and how many others are in it.
#[track_caller]
fn check(text: &str, objects: &[&str], ignored: usize) {
    let parsed = read(text);
    assert_eq!(parsed.problems, [], "{text}");
    let found: Vec<_> =
        parsed.manifests.iter().map(|m| format!("{} {}", m.id(), m.meta.source.as_deref().unwrap())).collect();
    assert_eq!(found, objects, "{text}");
    assert_eq!(parsed.ignored, ignored, "{text}");
}

/// Checks that `text` has one problem, at `line`, with `message` in it, and how many objects are read all the same.
#[track_caller]
fn check_problem(text: &str, line: usize, path: &str, message: &str, objects: usize) {
    let parsed = read(text);
    let [problem] = &parsed.problems[..] else { panic!("{text}: {:#?}", parsed.problems) };
    assert_eq!(problem.source.as_deref(), Some(format!("a.yaml:{line}").as_str()), "{problem}");
    assert_eq!(problem.path, path, "{problem}");
    assert!(problem.message.contains(message), "{problem}");
    assert!(!problem.message.contains('\n') && !problem.message.ends_with('.'), "{problem:?}");
    assert_eq!(parsed.manifests.len(), objects, "{text}");
}

const POD: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n";

#[test]
fn objects_are_found_with_their_lines() {
    check("", &[], 0);
    check("# nothing\n---\n", &[], 0);
    check(POD, &["Pod fallback/a a.yaml:1"], 0);
    check(&format!("# two\n---\n{POD}---\n\n{POD}"), &["Pod fallback/a a.yaml:3", "Pod fallback/a a.yaml:8"], 0);
    check("{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: b}}", &["Pod b/a a.yaml:1"], 0);
    check(
        r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","namespace":""}}"#,
        &["Pod fallback/a a.yaml:1"],
        0,
    );
    check(
        "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\n\t\"metadata\":{\"name\":\"a\"}}\n{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"b\"}}",
        &["Pod fallback/a a.yaml:1", "Pod fallback/b a.yaml:1"],
        0,
    );
    check("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\n", &[], 1);
    check("apiVersion: example.com/v1\nkind: Pod\nmetadata: {name: a}\n", &[], 1);
    check("apiVersion: v1\nkind: ConfigMap\ndata:\n  a: |\n    x\n    ---\n    y\n", &[], 1);
}

#[test]
fn lists_are_flattened() {
    check(
        "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Pod, metadata: {name: a}}\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: n}}\n",
        &["Pod fallback/a a.yaml:1"],
        1,
    );
    // A node is in no namespace.
    check("{apiVersion: v1, kind: Node, metadata: {name: n1}}", &["Node n1 a.yaml:1"], 0);
    check(
        "apiVersion: networking.istio.io/v1\nkind: VirtualServiceList\nitems:\n- {metadata: {name: a}}\n- {metadata: {name: b}}\n",
        &["VirtualService fallback/a a.yaml:1", "VirtualService fallback/b a.yaml:1"],
        0,
    );
    check("apiVersion: v1\nkind: List\nitems: []\n", &[], 0);
}

#[test]
fn a_broken_document_costs_itself() {
    check_problem(&format!("{POD}---\na: [1\n---\n{POD}"), 5, "", "unclosed bracket '['; this", 2);
    check_problem(&format!("---\na: 1\na: 2\n---\n{POD}"), 3, "", "cannot be read", 1);
    check_problem(&format!("{POD}---\njust text\n"), 5, "", "no Kubernetes object", 1);
    check_problem("[1, 2]", 1, "", "no Kubernetes object", 0);
    check_problem("kind: Pod\n", 1, "apiVersion", "missing", 0);
    check_problem("apiVersion: v1\n", 1, "kind", "missing", 0);
    check_problem("apiVersion: v1\nkind: 3\n", 1, "kind", "string", 0);
    check_problem("apiVersion: v1\nkind: Pod\n", 1, "metadata.name", "missing", 0);
    check_problem("apiVersion: v1\nkind: Pod\nmetadata: {name: ''}\n", 1, "metadata.name", "empty", 0);
    check_problem("apiVersion: v1\nkind: Pod\nmetadata: {name: 1}\n", 1, "metadata.name", "quote", 0);
    check_problem("apiVersion: v1\nkind: Pod\nmetadata: []\n", 1, "metadata", "mapping", 0);
    check_problem(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: a, labels: {v: 1}}\n",
        1,
        "metadata.labels.v",
        "quote",
        0,
    );
    check_problem(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: a, creationTimestamp: now}\n",
        1,
        "metadata.creationTimestamp",
        "RFC 3339",
        0,
    );
    check_problem(
        "apiVersion: networking.istio.io/v2\nkind: Gateway\nmetadata: {name: a}\n",
        1,
        "apiVersion",
        "v1alpha3",
        0,
    );
}

#[test]
fn metadata_is_read() {
    let parsed = read(
        "apiVersion: networking.istio.io/v1beta1\nkind: Gateway\nmetadata: {name: a, creationTimestamp: '1970-01-02T00:00:00Z', labels: {x: z}, annotations: {k: w}}\n",
    );
    let manifest = &parsed.manifests[0];
    assert_eq!(manifest.meta.created, 86_400);
    assert_eq!(&*manifest.api_version, "networking.istio.io/v1beta1");
    assert_eq!(&*manifest.labels["x"], "z");
    assert_eq!(&*manifest.annotations["k"], "w");
}

#[test]
fn depth_and_aliases_are_bounded() {
    let deep = format!("a: {}1{}", "[".repeat(5_000), "]".repeat(5_000));
    assert_eq!(read(&deep).problems[0].kind, ProblemKind::Unreadable);
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let before = level - 1;
        bomb.push_str(&format!("a{level}: &a{level} [{}]\n", vec![format!("*a{before}"); 10].join(", ")));
    }
    assert_eq!(read(&bomb).problems[0].kind, ProblemKind::Unreadable);
    let json = format!("{{\"a\":{}1{}}}", "[".repeat(5_000), "]".repeat(5_000));
    assert_eq!(read(&json).problems[0].kind, ProblemKind::Unreadable);
}
