//! What kustomize and Helm render: the same objects, with the least rights.

use harness::cluster::{deploy, deploy_file, helm, kubectl, text};
use serde_json::Value;
use std::{collections::BTreeMap, process::Command};

/// What both call an object: its kind and name.
type Objects = BTreeMap<(String, String), Value>;

#[test]
fn helm_renders_what_kustomize_does() {
    for profile in ["gke", "plain"] {
        let mut kustomized = kustomize(profile);
        // Helm makes the namespace by a flag, and leaves its labels to whoever owns it.
        kustomized.remove(&("Namespace".to_owned(), "istio-system".to_owned())).expect("a namespace");
        let rendered =
            objects(&helm_template(&["--set", &format!("profile={profile}")]).expect("the defaults are valid"));
        let names: Vec<_> = kustomized.keys().collect();
        assert_eq!(rendered.keys().collect::<Vec<_>>(), names, "{profile}");
        for (name, object) in kustomized {
            assert_eq!(rendered[&name], object, "{profile}: {name:?}: left Helm, right kustomize");
        }
    }
    assert_eq!(
        objects(&helm_template(&[]).expect("valid")),
        objects(&helm_template(&["--set", "profile=gke"]).expect("valid"))
    );
}

#[test]
fn the_chart_s_schema_names_a_mistake() {
    for (mistake, named) in [
        ("profile=autopilot", "/profile"),
        ("drain.seconds=-1", "/drain/seconds"),
        ("imge.tag=1", "imge"),
        ("service.type=Cluster", "/service/type"),
        ("image.digest=latest", "/image/digest"),
    ] {
        let error = helm_template(&["--set", mistake]).expect_err(mistake);
        assert!(error.contains(named), "{mistake}: {error}");
    }
}

#[test]
fn the_rights_are_what_is_watched() {
    let role = &kustomize("gke")[&("ClusterRole".to_owned(), "node-gateway".to_owned())];
    insta::assert_json_snapshot!("cluster_role", role["rules"]);
    assert_eq!(role, &kustomize("plain")[&("ClusterRole".to_owned(), "node-gateway".to_owned())]);
    // Secrets are read in the gateway's own namespace only.
    for profile in ["gke", "plain", "local"] {
        let objects = kustomize(profile);
        let roles: Vec<_> = objects.iter().filter(|((kind, _), _)| kind == "Role").map(|(_, role)| role).collect();
        let [role] = roles[..] else { panic!("{profile}: {roles:?}") };
        assert_eq!(role["metadata"]["namespace"], "istio-system");
        let rules =
            serde_json::json!([{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list", "watch"]}]);
        assert_eq!(role["rules"], rules, "{profile}");
    }
}

#[test]
fn everything_names_this_version() {
    let version = env!("CARGO_PKG_VERSION");
    for profile in ["gke", "plain"] {
        let image = text(&daemon_set(profile)["spec"]["template"]["spec"]["containers"][0]["image"]);
        assert_eq!(image, format!("ghcr.io/node-gateway/node-gateway:{version}"), "{profile}");
    }
    let chart = yaml(&deploy_file("helm/node-gateway/Chart.yaml")).remove(0);
    assert_eq!((text(&chart["version"]), text(&chart["appVersion"])), (version.to_owned(), version.to_owned()));
}

/// The grace period must hold the whole drain, or the kubelet cuts it short.
#[test]
fn the_grace_period_fits_the_drain() {
    for profile in ["gke", "plain", "local"] {
        let pod = &daemon_set(profile)["spec"]["template"]["spec"];
        let environment = pod["containers"][0]["env"].as_array().expect("a list");
        let seconds = |name: &str| {
            let variable = environment.iter().find(|variable| variable["name"] == name).expect(name);
            text(&variable["value"]).parse::<u64>().expect("seconds")
        };
        let drain = seconds("GATEWAY_DRAIN_ANNOUNCE_SECONDS") + seconds("GATEWAY_DRAIN_SECONDS");
        let grace = pod["terminationGracePeriodSeconds"].as_u64().expect("seconds");
        assert!(grace > drain, "{profile}: {grace} s for a drain of {drain} s");
    }
}

/// What docs/deploying.md offers to add.
#[test]
fn components_fit_every_profile() {
    for profile in ["gke", "plain"] {
        let plain = kustomize(profile);
        for (component, kind) in [("nodeport", "Service"), ("loadbalancer", "Service"), ("last-good", "DaemonSet")] {
            let with = with_component(profile, component);
            let changed: Vec<_> = with.iter().filter(|(name, object)| plain[*name] != **object).collect();
            let kinds: Vec<_> = changed.iter().map(|((kind, _), _)| kind.as_str()).collect();
            assert_eq!(kinds, [kind], "{component} on {profile}");
        }
        let with = with_component(profile, "egress");
        let changed = with.iter().filter(|(name, object)| plain.get(*name) != Some(*object));
        let names: Vec<_> = changed.map(|((kind, name), _)| format!("{kind} {name}")).collect();
        assert_eq!(names, ["DaemonSet istio-ingressgateway", "Service istio-egressgateway"], "{profile}");
    }
}

/// An overlay of a user's own: one of ours and a component.
pub(crate) fn with_component(profile: &str, component: &str) -> Objects {
    let directory = tempfile::tempdir().expect("a directory");
    let root = directory.path().canonicalize().expect("it exists");
    // kustomize takes relative paths only.
    let up = "../".repeat(root.components().count() - 1);
    let deploy = format!("{up}{}", deploy().display().to_string().trim_start_matches('/'));
    let kustomization = format!(
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n\
         resources: [{deploy}/overlays/{profile}]\ncomponents: [{deploy}/components/{component}]\n"
    );
    std::fs::write(root.join("kustomization.yaml"), kustomization).expect("a file");
    objects(&run(Command::new(kubectl()).arg("kustomize").arg(&root)).expect("it can be rendered"))
}

/// The DaemonSet of an overlay.
pub(crate) fn daemon_set(overlay: &str) -> Value {
    let name = ("DaemonSet".to_owned(), "istio-ingressgateway".to_owned());
    kustomize(overlay).remove(&name).expect("a DaemonSet")
}

/// Everything in an overlay.
pub(crate) fn kustomize(overlay: &str) -> Objects {
    let path = deploy().join("overlays").join(overlay);
    objects(&run(Command::new(kubectl()).arg("kustomize").arg(path)).expect("the overlay can be rendered"))
}

fn helm_template(arguments: &[&str]) -> Result<String, String> {
    let chart = deploy().join("helm/node-gateway");
    let mut helm = Command::new(helm());
    helm.args(["template", "node-gateway"]).arg(chart).args([
        "--namespace",
        "istio-system",
        "--kube-version",
        "1.36.0",
    ]);
    run(helm.args(arguments))
}

fn run(command: &mut Command) -> Result<String, String> {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

fn objects(manifests: &str) -> Objects {
    let name = |object: &Value| (text(&object["kind"]), text(&object["metadata"]["name"]));
    yaml(manifests).into_iter().map(|object| (name(&object), object)).collect()
}

fn yaml(manifests: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(manifests).unwrap_or_else(|error| panic!("{error}\n{manifests}"))
}
