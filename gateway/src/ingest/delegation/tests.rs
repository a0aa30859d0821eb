//! Merging, and what stands in the way of it.

use super::{
    super::{IngestContext, ingest_all, manifest},
    merge,
};
use crate::{
    istio::{common::StringMatch, http_route::HttpMatchRequest},
    model::{problem::Problem, resource::Resource, virtual_service::VirtualService},
};
use proptest::prelude::*;

const ROOT: &str = "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: root, namespace: shop}
spec:
  hosts: [shop.example.com]
  gateways: [g]
  http:
";

/// The root with `rules` and a delegate `team/d` whose spec is `delegate`, read: the root, and what is wrong with either.
fn read(rules: &str, delegate: &str) -> (VirtualService, Vec<Problem>) {
    let text = format!(
        "{ROOT}{rules}\n---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: d, namespace: team}}\nspec:\n{delegate}\n"
    );
    let parsed = manifest::parse(&text, "test.yaml", "default");
    assert!(parsed.problems.is_empty(), "{:?}", parsed.problems);
    let mut read = ingest_all(&parsed.manifests, &IngestContext { cluster_domain: "cluster.local".into() });
    let problems = read.iter().flat_map(|(_, problems)| problems.clone()).collect();
    match read.swap_remove(0).0 {
        Some(Resource::VirtualService(root)) => (root, problems),
        other => panic!("{other:?}"),
    }
}

#[test]
fn faults_of_the_root_come_before_whatever_the_delegate_answers() {
    let rules =
        "  - {fault: {abort: {httpStatus: 418, percentage: {value: 100}}}, delegate: {name: d, namespace: team}}";
    let delegate = "
  http:
  - {match: [{uri: {prefix: /a}}], redirect: {uri: /b}}
  - {match: [{uri: {prefix: /b}}], directResponse: {status: 200}}
  - {route: [{destination: {host: c}}]}";
    let (root, problems) = read(rules, delegate);
    assert_eq!(problems, []);
    let before: Vec<bool> = root.http.iter().map(|rule| rule.fault.is_some()).collect();
    assert_eq!(before, [true, true, false], "who forwards has it among its policies");
    assert!(format!("{:?}", root.http[2].action).contains("418"));
}

const TO_TEAM: &str = "  - match: [{uri: {prefix: /d}}]\n    delegate: {name: d, namespace: team}";

#[test]
fn names_of_a_delegate_are_those_of_its_own_namespace() {
    let (root, problems) = read(TO_TEAM, "  http: [{route: [{destination: {host: c}}]}]");
    assert_eq!(problems, []);
    let rule = format!("{:?}", root.http[0]);
    assert!(rule.contains("c.team.svc.cluster.local"), "{rule}");
    assert_eq!(root.http[0].matches.len(), 1);
    let delegated = root.http[0].delegate.as_ref().unwrap();
    assert_eq!((delegated.object.to_string(), delegated.rule), ("VirtualService team/d".to_owned(), 0));
}

#[test]
fn rules_of_a_delegate_stand_where_the_root_s_stood() {
    let rules = "
  - {match: [{uri: {exact: /first}}], directResponse: {status: 200}}
  - {name: r, match: [{uri: {prefix: /d}}], delegate: {name: d, namespace: team}}
  - {directResponse: {status: 404}}";
    let delegate = "
  http:
  - {name: a, match: [{uri: {prefix: /d/a}}], directResponse: {status: 201}}
  - {match: [{uri: {prefix: /other}}], directResponse: {status: 202}}
  - {directResponse: {status: 203}}";
    let (root, problems) = read(rules, delegate);
    let names: Vec<(&str, usize)> = root.http.iter().map(|rule| (&*rule.name, rule.index)).collect();
    assert_eq!(names, [("", 0), ("r-a", 1), ("r", 1), ("", 2)]);
    let [conflict] = problems.as_slice() else { panic!("{problems:?}") };
    assert_eq!(conflict.path, "spec.http[1].delegate");
    assert!(conflict.message.starts_with("http[1] of VirtualService team/d"), "{conflict}");
}

#[test]
fn the_root_says_what_the_delegate_does_not() {
    let rules =
        "  - {rewrite: {uri: /root}, headers: {request: {set: {x: root}}}, delegate: {name: d, namespace: team}}";
    let delegate = "
  http:
  - {match: [{uri: {prefix: /a}}], rewrite: {uri: /leaf}, route: [{destination: {host: c}}]}
  - {headers: {}, route: [{destination: {host: c}}]}";
    let (root, _) = read(rules, delegate);
    let texts: Vec<String> = root.http.iter().map(|rule| format!("{rule:?}")).collect();
    assert!(texts[0].contains("/leaf") && !texts[0].contains("/root") && texts[0].contains("root"), "{}", texts[0]);
    assert!(texts[1].contains("/root"), "{}", texts[1]);
    assert_eq!(root.http[1].headers, crate::model::virtual_service::HeaderRules::default());
}

#[test]
fn what_keeps_a_rule_from_being_delegated_is_named() {
    let rule = "http: [{route: [{destination: {host: c}}]}]";
    for (delegate, reason) in [
        (format!("  hosts: [x.test]\n  {rule}"), "does not exist, or has hosts"),
        (format!("  exportTo: ['.']\n  {rule}"), "is not exported to shop"),
        (format!("  exportTo: [other]\n  {rule}"), "is not exported to shop"),
    ] {
        let (root, problems) = read(TO_TEAM, &delegate);
        assert!(root.http.is_empty(), "{delegate}");
        assert!(
            problems.iter().any(|p| p.path == "spec.http[0].delegate" && p.message.contains(reason)),
            "{problems:?}"
        );
    }
    let (root, problems) = read(TO_TEAM, &format!("  exportTo: [shop]\n  {rule}"));
    assert_eq!((root.http.len(), problems), (1, vec![]));
}

#[test]
fn a_delegate_does_not_delegate() {
    let (root, problems) = read(TO_TEAM, "  http: [{delegate: {name: e}}, {route: [{destination: {host: c}}]}]");
    assert_eq!(root.http.len(), 1, "{:?}", root.http);
    assert!(
        problems.iter().any(|p| p.path == "spec.http[0].delegate" && p.message.contains("one level")),
        "{problems:?}"
    );
}

#[test]
fn gateways_and_other_routes_of_a_delegate_are_refused_and_do_not_count() {
    let (root, problems) = read(TO_TEAM, "  gateways: [other]\n  http: [{route: [{destination: {host: c}}]}]");
    assert_eq!(root.gateways.len(), 1);
    assert_eq!(root.http.len(), 1);
    assert!(problems.iter().any(|p| p.path == "spec.gateways"), "{problems:?}");
}

/// Which pairs are compatible: the table of `stringMatchConflict`.
#[test]
fn a_delegate_may_only_narrow_what_the_root_matches() {
    let uri =
        |kind: &str, text: &str| HttpMatchRequest { uri: string_match(kind, text), ..HttpMatchRequest::default() };
    for (root, leaf, fits) in [
        (("exact", "/a"), ("exact", "/a"), true),
        (("exact", "/a"), ("exact", "/b"), false),
        (("exact", "/a"), ("prefix", "/a"), false),
        (("prefix", "/a"), ("prefix", "/a/b"), true),
        (("prefix", "/a"), ("exact", "/ab"), true),
        (("prefix", "/a/b"), ("prefix", "/a"), false),
        (("prefix", "/a"), ("exact", "/b"), false),
        (("regex", "/a"), ("regex", "/a"), false),
        (("prefix", "/"), ("regex", "/a"), false),
        (("regex", ".*"), ("exact", "/a"), false),
        (("present", ""), ("present", ""), false),
        (("prefix", "/a"), ("none", ""), true),
        (("none", ""), ("regex", "/a"), true),
        (("prefix", ""), ("prefix", "/a"), false),
    ] {
        let merged = merge::entry(&uri(root.0, root.1), &uri(leaf.0, leaf.1));
        assert_eq!(merged.is_some(), fits, "{root:?} {leaf:?}");
    }
}

fn string_match(kind: &str, text: &str) -> Option<StringMatch> {
    let text = Some(text.to_owned());
    match kind {
        "exact" => Some(StringMatch { exact: text, ..StringMatch::default() }),
        "prefix" => Some(StringMatch { prefix: text, ..StringMatch::default() }),
        "regex" => Some(StringMatch { regex: text, ..StringMatch::default() }),
        "present" => Some(StringMatch::default()),
        _ => None,
    }
}

fn any_string_match() -> impl Strategy<Value = Option<StringMatch>> {
    let kinds = prop::sample::select(vec!["none", "none", "exact", "prefix", "prefix", "present"]);
    let texts = prop::sample::select(vec!["/", "/a", "/a/b", "/a/b/c"]);
    (kinds, texts).prop_map(|(kind, text)| string_match(kind, text))
}

fn any_match() -> impl Strategy<Value = HttpMatchRequest> {
    let headers = prop::collection::btree_map(
        prop::sample::select(vec!["x".to_owned(), "y".to_owned()]),
        any_string_match(),
        0..2,
    );
    let labels = prop::collection::btree_map(
        prop::sample::select(vec!["l".to_owned(), "m".to_owned()]),
        Just("v".to_owned()),
        0..2,
    );
    let gateways = prop::sample::select(vec![vec![], vec!["a/b".to_owned()], vec!["a/b".to_owned(), "c/d".to_owned()]]);
    let names = prop::sample::select(vec!["", "n", "o"]);
    let ports = prop::sample::select(vec![0_u32, 0, 80]);
    (any_string_match(), any_string_match(), headers, labels, gateways, names, ports).prop_map(
        |(uri, method, headers, source_labels, gateways, name, port)| HttpMatchRequest {
            name: name.to_owned(),
            uri,
            method,
            headers: headers.into_iter().filter_map(|(name, value)| Some((name, value?))).collect(),
            source_labels,
            gateways,
            port,
            ..HttpMatchRequest::default()
        },
    )
}

proptest! {
    /// Merging matches is associative where neither grouping meets a contradiction.
    #[test]
    fn merging_matches_is_associative(a in any_match(), b in any_match(), c in any_match()) {
        let left = merge::entry(&a, &b).and_then(|ab| merge::entry(&ab, &c));
        let right = merge::entry(&b, &c).and_then(|bc| merge::entry(&a, &bc));
        if let (Some(left), Some(right)) = (left, right) {
            prop_assert_eq!(left, right);
        }
    }

    /// A root's list of matches may be split over two rules, and a delegate's entry finds the same places.
    #[test]
    fn lists_of_matches_are_merged_entry_by_entry(
        roots in prop::collection::vec(any_match(), 1..4), more in prop::collection::vec(any_match(), 1..4), leaf in any_match(),
    ) {
        let leaf = [leaf];
        let all: Vec<_> = roots.iter().chain(&more).cloned().collect();
        let apart = [merge::matches(&roots, &leaf), merge::matches(&more, &leaf)];
        let apart: Vec<_> = apart.into_iter().flatten().flatten().collect();
        prop_assert_eq!(merge::matches(&all, &leaf).unwrap_or_default(), apart);
    }
}
