//! DestinationRule.

use super::{
    IngestContext,
    export_to::{self, Exporter},
    findings::{Findings, Path},
    hosts,
    labels::{self, is_dns_label},
    manifest::Manifest,
    traffic_policy,
};
use crate::{
    istio::destination_rule as istio,
    model::destination_rule::{DestinationRule, Subset},
};

/// Reads a DestinationRule (`ValidateDestinationRule` in istio/pkg/config/validation/validation.go).
pub(super) fn ingest(
    manifest: &Manifest,
    context: &IngestContext,
    findings: &mut Findings<'_>,
) -> Option<DestinationRule> {
    let spec: istio::DestinationRule = findings.spec()?;
    let namespace = &manifest.id().namespace;
    let path = Path::SPEC;
    let host_path = path.field("host");
    if spec.host.is_empty() {
        findings.schema(&host_path, "is required: name a service");
    } else if let Err(reason) = hosts::check_pattern(&spec.host) {
        findings.invalid(&host_path, reason);
    }
    let policy_path = path.field("trafficPolicy");
    let traffic_policy =
        traffic_policy::read(spec.traffic_policy.as_ref(), namespace, &policy_path, findings).map(Box::new);

    let mut subsets: Vec<Subset> = Vec::with_capacity(spec.subsets.len());
    for (index, subset) in spec.subsets.iter().enumerate() {
        let path = path.field("subsets");
        let path = path.index(index);
        let name_path = path.field("name");
        labels::check(&subset.labels, &path.field("labels"), findings);
        let policy_path = path.field("trafficPolicy");
        let traffic_policy =
            traffic_policy::read(subset.traffic_policy.as_ref(), namespace, &policy_path, findings).map(Box::new);
        if subset.name.is_empty() {
            findings.schema(&name_path, "is required");
        } else if !is_dns_label(&subset.name) {
            findings.invalid(&name_path, format!("{:?} is no DNS label: the subset is left out", subset.name));
        } else if subsets.iter().any(|other| *other.name == *subset.name) {
            findings.invalid(&name_path, format!("{:?} is the name of a subset before it, which is used", subset.name));
        } else {
            let labels = labels::labels(&subset.labels);
            subsets.push(Subset { name: subset.name.as_str().into(), labels, traffic_policy });
        }
    }
    let exporter = Exporter::DestinationRule { has_selector: spec.workload_selector.is_some() };
    let visibility = export_to::visibility(&spec.export_to, namespace, exporter, &path.field("exportTo"), findings);
    let workload_selector = spec.workload_selector.as_ref().map(|selector| {
        let path = path.field("workloadSelector");
        if selector.match_labels.is_empty() {
            findings.suspicious(&path, "has no matchLabels: it selects every workload of the namespace");
        }
        labels::check_selector(&selector.match_labels, &path.field("matchLabels"), findings);
        labels::labels(&selector.match_labels)
    });
    if spec.host.is_empty() {
        return None;
    }
    // A rule for some workloads is private (`setDestinationRules` in istio's push_context.go).
    let written = if spec.workload_selector.is_some() { &[".".to_owned()][..] } else { &spec.export_to[..] };
    Some(DestinationRule {
        meta: manifest.meta.clone(),
        host: hosts::expand(&spec.host, namespace, context),
        visibility,
        exported_to: written.iter().map(|entry| entry.as_str().into()).collect(),
        traffic_policy,
        subsets,
        workload_selector,
    })
}
