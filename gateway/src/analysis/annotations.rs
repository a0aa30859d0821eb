//! Istio's annotations on Namespaces, Services and Pods: unknown, misplaced or outdated (analyzers/annotations).

use super::{Level, Report, World};
use crate::model::object::{Kind, Labels};

/// A line each: name, kinds, and whether it is deprecated.
const KNOWN: &str = include_str!("annotations.txt");

/// Set by Istio itself, wherever it likes (`AlwaysIgnoredAnnotations` in analyzers/maturity).
const IGNORED: [&str; 3] = ["sidecar.istio.io/status", "gateway.istio.io/controller-version", "istio.io/rev"];

const INJECT: &str = "sidecar.istio.io/inject";

pub(super) fn look(world: &World<'_>, report: &mut Report) {
    for read in world.objects {
        let kind = match read.manifest.kind() {
            Kind::Service => "Service",
            Kind::Pod => "Pod",
            _ => continue,
        };
        let meta = &read.manifest.meta;
        for (code, level, message) in about(kind, &read.manifest.annotations, &read.manifest.labels) {
            report.say(code, level, meta, "metadata.annotations", message);
        }
    }
    for namespace in world.foreign.iter().filter(|object| object.kind == "Namespace") {
        for (code, level, message) in about("Namespace", &namespace.annotations, &Labels::default()) {
            report.of_foreign(namespace, code, level, "metadata.annotations", message);
        }
    }
}

fn about(kind: &str, annotations: &Labels, labels: &Labels) -> Vec<(&'static str, Level, String)> {
    let mut found = Vec::new();
    for name in annotations.keys().filter(|name| is_istio(name) && !IGNORED.contains(&&***name)) {
        let Some((kinds, is_deprecated)) = known(name) else {
            found.push(("IST0108", Level::Warning, format!("Unknown annotation: {name}")));
            continue;
        };
        // With the label beside it somebody keeps both on purpose.
        if is_deprecated && !(&**name == INJECT && labels.contains_key(INJECT)) {
            let instead = if &**name == INJECT { " in favor of the \"sidecar.istio.io/inject\" label" } else { "" };
            let message =
                format!("Annotation {name:?} has been deprecated{instead} and may not work in future Istio versions.");
            found.push(("IST0135", Level::Info, message));
        }
        if kinds != "Any" && !kinds.split(',').any(|one| one == kind) {
            let kinds = kinds.replace(',', ", ");
            let message = format!("Misplaced annotation: {name} can only be applied to {kinds}");
            found.push(("IST0107", Level::Warning, message));
        }
    }
    found
}

fn is_istio(name: &str) -> bool {
    name == "kubernetes.io/ingress.class" || name.split('/').next().is_some_and(|domain| domain.ends_with("istio.io"))
}

/// The kinds that an annotation is for, separated by commas, and whether it is deprecated.
fn known(name: &str) -> Option<(&'static str, bool)> {
    let mut lines = KNOWN.lines().map(|line| line.split(' '));
    lines.find_map(|mut words| {
        (words.next() == Some(name)).then(|| (words.next().unwrap_or(""), words.next().is_some()))
    })
}
