//! What the gateway's service account may do, asked of the API server.

use crate::render::kustomize;
use harness::cluster::{Cluster, install, text};
use serde_json::Value;
use std::collections::BTreeSet;

const ACCOUNT: &str = "--as=system:serviceaccount:istio-system:node-gateway";
/// An account nobody has given anything.
const NOBODY: &str = "--as=system:serviceaccount:istio-system:default";

#[test]
fn the_service_account_may_do_what_the_manifest_says_and_nothing_else() {
    let cluster = Cluster::connect();
    install(&cluster);
    let nobody = granted(&cluster, NOBODY);
    let ours: BTreeSet<_> = granted(&cluster, ACCOUNT).difference(&nobody).cloned().collect();
    // In its own namespace, where it is asked: those of the cluster, and the Secrets of the Role.
    let manifest = kustomize("local");
    let rules = ["ClusterRole", "Role"].map(|kind| &manifest[&(kind.to_owned(), "node-gateway".to_owned())]["rules"]);
    let expected: BTreeSet<_> =
        rules.iter().flat_map(|rules| rules.as_array().expect("a list")).flat_map(lines).collect();
    assert_eq!(ours, expected, "left: what kubectl auth can-i --list says");

    for forbidden in ["get secrets", "list configmaps", "update virtualservices.networking.istio.io", "create pods"] {
        let arguments: Vec<&str> =
            ["auth", "can-i"].into_iter().chain(forbidden.split(' ')).chain(["--all-namespaces", ACCOUNT]).collect();
        let answer = cluster.try_kubectl(&arguments, None);
        assert!(answer.is_err(), "{forbidden} is allowed: {answer:?}");
    }
}

/// Lines of `kubectl auth can-i --list`: a resource and the verbs it may be used with.
fn granted(cluster: &Cluster, account: &str) -> BTreeSet<(String, String)> {
    let table = cluster.kubectl(&["auth", "can-i", "--list", "--no-headers", "--namespace", "istio-system", account]);
    let line = |line: &str| {
        let resource = line.split_whitespace().next().filter(|_| !line.starts_with(' ')).unwrap_or_default();
        let verbs = line.rsplit_once('[').map(|(_, verbs)| verbs.trim_end().trim_end_matches(']'));
        (resource.to_owned(), verbs.unwrap_or_default().to_owned())
    };
    table.lines().map(line).collect()
}

/// A rule as that table shows it.
fn lines(rule: &Value) -> Vec<(String, String)> {
    let list = |name: &str| rule[name].as_array().into_iter().flatten().map(text).collect::<Vec<_>>();
    let (groups, resources, verbs) = (list("apiGroups"), list("resources"), list("verbs").join(" "));
    let named = |resource: &String, group: &String| match group.as_str() {
        "" => resource.clone(),
        group => format!("{resource}.{group}"),
    };
    let pairs = resources.iter().flat_map(|resource| groups.iter().map(move |group| named(resource, group)));
    pairs.map(|resource| (resource, verbs.clone())).collect()
}
