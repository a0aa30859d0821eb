//! `exportTo`: who may see an object.

use super::{
    findings::{Findings, Path},
    labels::is_dns_label,
};
use crate::model::export::Visibility;
use std::{collections::BTreeSet, sync::Arc};

/// Which kind of object says it; the rules differ a little.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exporter {
    VirtualService,
    DestinationRule {
        has_selector: bool,
    },
    /// May say `~`: nobody.
    ServiceEntry,
}

/// The visibility that `entries` of an object in `namespace` mean; none at all is the mesh default, public
/// (`validateExportTo` in istio/pkg/config/validation/validation.go).
pub(super) fn visibility(
    entries: &[String],
    namespace: &str,
    exporter: Exporter,
    path: &Path<'_>,
    findings: &mut Findings<'_>,
) -> Visibility {
    let has_selector = exporter == Exporter::DestinationRule { has_selector: true };
    if entries.is_empty() {
        // A rule for some workloads of its namespace counts as private (istio/pilot/pkg/model/push_context.go).
        return if has_selector { only(namespace) } else { Visibility::Public };
    }
    let mut names = BTreeSet::new();
    for (index, entry) in entries.iter().enumerate() {
        let path = path.index(index);
        let name = if entry == "." { namespace } else { entry };
        if !is_legal(name, exporter) {
            findings.invalid(&path, format!("{name:?} is neither \"*\", \".\" nor a namespace"));
        } else if !names.insert(Arc::<str>::from(name)) {
            findings.invalid(&path, format!("{entry:?} repeats the namespace {name}: remove it"));
        }
    }
    if names.contains("*") && entries.len() > 1 {
        findings.invalid(path, "has \"*\" beside other entries: \"*\" alone says everything");
    }
    if names.contains("~") && entries.len() > 1 {
        findings.invalid(path, "has \"~\", nobody, beside other entries: choose one");
    }
    if has_selector && names.iter().any(|name| **name != *namespace) {
        findings
            .invalid(path, "goes beyond the rule's own namespace, which a workloadSelector does not allow: use \".\"");
    }
    if names.contains("*") {
        return Visibility::Public;
    }
    names.remove("~");
    Visibility::Namespaces(names)
}

/// The visibility in a Service's annotation `networking.istio.io/exportTo`: comma-separated, not validated
/// (`ConvertService` in istio/pilot/pkg/serviceregistry/kube/conversion.go).
pub(super) fn annotated(annotation: Option<&str>, namespace: &str) -> Visibility {
    let Some(text) = annotation.filter(|text| !text.is_empty()) else { return Visibility::Public };
    let mut names = BTreeSet::new();
    for entry in text.split(',').map(str::trim) {
        match entry {
            "*" => return Visibility::Public,
            "~" | "" => {}
            "." => {
                names.insert(namespace.into());
            }
            name => {
                names.insert(name.into());
            }
        }
    }
    Visibility::Namespaces(names)
}

fn is_legal(name: &str, exporter: Exporter) -> bool {
    name == "*" || is_dns_label(name) || (name == "~" && exporter == Exporter::ServiceEntry)
}

fn only(namespace: &str) -> Visibility {
    Visibility::Namespaces(BTreeSet::from([namespace.into()]))
}
