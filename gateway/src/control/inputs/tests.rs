//! The current inputs: the gate, lists, and the last good version.

use super::*;
use serde_json::{Value, json};

fn inputs() -> Inputs {
    Inputs::new(IngestContext { cluster_domain: "cluster.local".into() })
}

fn manifest(object: Value) -> Manifest {
    Manifest::from_value(object, None, "default").unwrap().unwrap()
}

fn service(name: &str, version: &str, port: Value) -> Manifest {
    manifest(json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": name, "namespace": "shop", "resourceVersion": version},
        "spec": {"ports": [{"name": "http", "port": port, "targetPort": 8080}]},
    }))
}

fn route(version: &str, hosts: Value) -> Manifest {
    manifest(json!({
        "apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
        "metadata": {"name": "r", "namespace": "shop", "resourceVersion": version},
        "spec": {"hosts": hosts, "gateways": ["g"], "http": [{"route": [{"destination": {"host": "s"}}]}]},
    }))
}

/// What the compiler was told: `+id` and `-id`.
fn apply(inputs: &mut Inputs, delta: Delta) -> Vec<String> {
    let mut told = Vec::new();
    inputs.apply(delta, &mut |change| {
        told.push(match change {
            Change::Put(resource) => format!("+{}", resource.meta().id),
            Change::Remove(id) => format!("-{id}"),
            Change::Answer { name, .. } => format!("?{name}"),
        });
    });
    told.sort();
    told
}

fn status(inputs: &Inputs, kind: Kind) -> (usize, usize, usize) {
    let status = inputs.kinds().find(|status| status.kind == kind).unwrap();
    (status.objects, status.rejected, status.held_back)
}

/// Nodes and WorkloadEntries, and nothing else: without Pods there would be no subset.
#[test]
fn only_a_kind_that_is_not_needed_may_be_forbidden() {
    for forbidden in Kind::ALL {
        let mut inputs = inputs();
        for kind in Kind::ALL.into_iter().filter(|kind| *kind != forbidden) {
            apply(&mut inputs, Delta::Replace { kind, manifests: Vec::new() });
        }
        apply(&mut inputs, Delta::State { kind: forbidden, state: SourceState::Failing("away".to_owned()) });
        assert!(!inputs.complete(), "{forbidden} may come yet");
        apply(&mut inputs, Delta::State { kind: forbidden, state: SourceState::Forbidden("no".to_owned()) });
        let is_needed = !matches!(forbidden, Kind::Node | Kind::WorkloadEntry);
        assert_eq!(inputs.complete(), !is_needed, "{forbidden}");
        assert_eq!(inputs.is_stuck(), is_needed, "{forbidden}");
        apply(&mut inputs, Delta::State { kind: forbidden, state: SourceState::Failing("away".to_owned()) });
        assert_eq!(inputs.complete(), !is_needed, "an outage closes no gate");
    }
}

#[test]
fn nodes_of_the_disk_are_kept_where_nobody_may_list_them() {
    let mut inputs = inputs();
    for kind in Kind::ALL {
        inputs.restore(kind, &[], &mut |_| {});
    }
    for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Node) {
        assert!(inputs.is_restored());
        apply(&mut inputs, Delta::Replace { kind, manifests: Vec::new() });
    }
    assert!(inputs.is_restored());
    apply(&mut inputs, Delta::State { kind: Kind::Node, state: SourceState::Forbidden("no".to_owned()) });
    assert!(!inputs.is_restored() && inputs.complete());
}

#[test]
fn the_gate_opens_with_the_last_kind() {
    let mut inputs = inputs();
    for kind in Kind::ALL {
        assert!(!inputs.complete(), "{kind} has not been listed");
        apply(&mut inputs, Delta::Apply(service("s", "1", json!(80))));
        apply(&mut inputs, Delta::State { kind, state: SourceState::Synced });
        assert!(!inputs.complete(), "a state is no list");
        apply(&mut inputs, Delta::Replace { kind, manifests: Vec::new() });
    }
    assert!(inputs.complete());
}

#[test]
fn a_list_removes_what_is_not_in_it_and_repeats_nothing() {
    let mut inputs = inputs();
    let list = |manifests| Delta::Replace { kind: Kind::Service, manifests };
    let told = apply(&mut inputs, list(vec![service("a", "1", json!(80)), service("b", "1", json!(80))]));
    assert_eq!(told, ["+Service shop/a", "+Service shop/b"]);
    let told = apply(&mut inputs, list(vec![service("b", "1", json!(80)), service("c", "1", json!(80))]));
    assert_eq!(told, ["+Service shop/c", "-Service shop/a"], "b has the same version as before");
    let told = apply(&mut inputs, list(vec![service("b", "2", json!(81)), service("c", "1", json!(80))]));
    assert_eq!(told, ["+Service shop/b"]);
    assert_eq!(status(&inputs, Kind::Service), (2, 0, 0));
}

#[test]
fn a_list_of_one_kind_leaves_the_others_alone() {
    let mut inputs = inputs();
    apply(&mut inputs, Delta::Apply(service("a", "1", json!(80))));
    assert!(apply(&mut inputs, Delta::Replace { kind: Kind::Pod, manifests: Vec::new() }).is_empty());
    assert_eq!(status(&inputs, Kind::Service), (1, 0, 0));
}

#[test]
fn a_failing_source_changes_nothing() {
    let mut inputs = inputs();
    apply(&mut inputs, Delta::Replace { kind: Kind::Service, manifests: vec![service("a", "1", json!(80))] });
    for state in [SourceState::Failing("refused".to_owned()), SourceState::WaitingForKind("install it".to_owned())] {
        assert!(apply(&mut inputs, Delta::State { kind: Kind::Service, state }).is_empty());
        assert_eq!(status(&inputs, Kind::Service), (1, 0, 0));
    }
}

#[test]
fn the_last_good_version_stays_in_force_and_says_so() {
    let mut inputs = inputs();
    assert_eq!(apply(&mut inputs, Delta::Apply(route("1", json!(["a.example"])))), ["+VirtualService shop/r"]);
    assert!(apply(&mut inputs, Delta::Apply(route("2", json!(7)))).is_empty(), "hosts: 7 cannot be read");
    assert_eq!(status(&inputs, Kind::VirtualService), (1, 0, 1));
    let problems: Vec<String> = inputs.problems().map(ToString::to_string).collect();
    assert!(problems.iter().any(|p| p.contains("hosts")), "{problems:?}");
    assert!(problems.iter().any(|p| p.contains("stays in force")), "{problems:?}");

    assert_eq!(apply(&mut inputs, Delta::Apply(route("3", json!(["b.example"])))), ["+VirtualService shop/r"]);
    assert_eq!(status(&inputs, Kind::VirtualService), (1, 0, 0));
    assert!(!inputs.problems().any(|p| p.message.contains("stays in force")));

    apply(&mut inputs, Delta::Apply(route("4", json!(7))));
    let id = ObjectId::new(Kind::VirtualService, "shop", "r");
    assert_eq!(apply(&mut inputs, Delta::Delete(id)), ["-VirtualService shop/r"], "what is held back goes too");
    assert_eq!(inputs.problems().count(), 0);
}

#[test]
fn an_object_that_never_could_be_read_was_never_served() {
    let mut inputs = inputs();
    assert!(apply(&mut inputs, Delta::Apply(route("1", json!(7)))).is_empty());
    assert_eq!(status(&inputs, Kind::VirtualService), (1, 1, 0));
    assert!(!inputs.problems().any(|p| p.message.contains("stays in force")));
    let id = ObjectId::new(Kind::VirtualService, "shop", "r");
    assert!(apply(&mut inputs, Delta::Delete(id)).is_empty(), "the compiler never had it");
}

#[test]
fn each_part_of_a_source_replaces_only_its_own_problems() {
    let problem = |message: &str| Problem {
        object: None,
        source: None,
        path: String::new(),
        severity: Severity::Error,
        kind: ProblemKind::Unreadable,
        message: message.to_owned(),
    };
    let mut inputs = inputs();
    apply(&mut inputs, Delta::Problems { part: "Gateway", problems: vec![problem("one")] });
    apply(&mut inputs, Delta::Problems { part: "Service", problems: vec![problem("two")] });
    apply(&mut inputs, Delta::Problems { part: "Gateway", problems: vec![problem("three")] });
    let messages: Vec<&str> = inputs.problems().map(|p| &*p.message).collect();
    assert_eq!(messages, ["three", "two"]);
}

fn virtual_service(name: &str, version: &str, spec: Value) -> Manifest {
    manifest(json!({
        "apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
        "metadata": {"name": name, "namespace": "shop", "resourceVersion": version}, "spec": spec,
    }))
}

fn delegate(version: &str, status: Value) -> Manifest {
    virtual_service("d", version, json!({"http": [{"directResponse": {"status": status}}]}))
}

/// The statuses that the rules of the root answer with, as the compiler was told last; `None` when it was not told.
fn told_of_root(inputs: &mut Inputs, delta: Delta) -> Option<Vec<String>> {
    let mut told = None;
    inputs.apply(delta, &mut |change| {
        if let Change::Put(crate::model::resource::Resource::VirtualService(service)) = change
            && &*service.meta.id.name == "root"
        {
            let status = |rule: &crate::model::virtual_service::HttpRule| match &rule.action {
                crate::model::virtual_service::Action::DirectResponse(response) => response.status.as_str().to_owned(),
                other => format!("{other:?}"),
            };
            told = Some(service.http.iter().map(status).collect());
        }
    });
    told
}

#[test]
fn a_change_of_a_delegate_reaches_its_roots() {
    let mut inputs = inputs();
    let root = json!({"hosts": ["a.com"], "gateways": ["g"], "http": [{"delegate": {"name": "d"}}]});
    let apply = |inputs: &mut Inputs, manifest: Manifest| told_of_root(inputs, Delta::Apply(manifest));
    let statuses = |statuses: &[&str]| Some(statuses.iter().map(|status| (*status).to_owned()).collect::<Vec<_>>());

    assert_eq!(apply(&mut inputs, virtual_service("root", "1", root.clone())), statuses(&[]));
    assert!(inputs.problems().any(|problem| problem.path == "spec.http[0].delegate"));
    assert_eq!(apply(&mut inputs, delegate("2", json!(201))), statuses(&["201"]));
    assert_eq!(inputs.problems().count(), 0, "the root has what it names");
    assert_eq!(apply(&mut inputs, delegate("3", json!(202))), statuses(&["202"]));
    // One that cannot be read leaves what it said before in force.
    assert_eq!(apply(&mut inputs, delegate("4", json!("many"))), None);
    assert_eq!(status(&inputs, Kind::VirtualService), (2, 0, 1));
    // A root that cannot be read follows its delegate all the same, as it could last be read.
    assert_eq!(apply(&mut inputs, virtual_service("root", "5", json!({"hosts": 7}))), None);
    assert_eq!(apply(&mut inputs, delegate("6", json!(203))), statuses(&["203"]));
    assert_eq!(status(&inputs, Kind::VirtualService), (2, 0, 1));
    assert_eq!(apply(&mut inputs, virtual_service("root", "7", root)), statuses(&["203"]));
    // With hosts it is no delegate.
    let with_hosts = json!({"hosts": ["b.com"], "gateways": ["g"], "http": [{"directResponse": {"status": 204}}]});
    assert_eq!(apply(&mut inputs, virtual_service("d", "8", with_hosts)), statuses(&[]));
    assert_eq!(apply(&mut inputs, delegate("9", json!(205))), statuses(&["205"]));
    let gone = Delta::Delete(ObjectId::new(Kind::VirtualService, "shop", "d"));
    assert_eq!(told_of_root(&mut inputs, gone), statuses(&[]));
    // Nobody delegates to it any more.
    let gone = Delta::Delete(ObjectId::new(Kind::VirtualService, "shop", "root"));
    assert_eq!(told_of_root(&mut inputs, gone), None);
    assert_eq!(apply(&mut inputs, delegate("10", json!(206))), None);
}
