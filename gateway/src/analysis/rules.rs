//! DestinationRules (analyzers/destinationrule).

use super::{Level, Report, World};
use crate::model::{
    destination_rule::DestinationRule,
    object::{Labels, Meta, selects},
};
use serde_json::Value;

pub(super) fn look(world: &World<'_>, report: &mut Report) {
    for rule in world.destination_rules() {
        let namespace = &rule.meta.id.namespace;
        if world.ports(&rule.host, namespace).is_none() && !rule.host.is_wildcard() {
            let message = format!(
                "The host {} defined in the DestinationRule does not match any services in the mesh",
                rule.host
            );
            report.say("IST0174", Level::Warning, &rule.meta, "spec.host", message);
            continue;
        }
        subsets(world, rule, report);
    }
    for read in world
        .objects
        .iter()
        .filter(|read| matches!(read.resource, Some(crate::model::resource::Resource::DestinationRule(_))))
    {
        let spec = &read.manifest.object["spec"];
        certificates(&read.manifest.meta, &spec["trafficPolicy"], "spec.trafficPolicy", report);
        for (index, subset) in spec["subsets"].as_array().into_iter().flatten().enumerate() {
            let path = format!("spec.subsets[{index}].trafficPolicy");
            certificates(&read.manifest.meta, &subset["trafficPolicy"], &path, report);
        }
    }
}

/// Subsets whose labels no pod carries, besides those of the Service's or ServiceEntry's selector.
fn subsets(world: &World<'_>, rule: &DestinationRule, report: &mut Report) {
    let domain = &world.settings.cluster_domain;
    let services = world.services().filter(|service| {
        let id = &service.meta.id;
        rule.host.as_str() == format!("{}.{}.svc.{domain}", id.name, id.namespace)
    });
    let services = services.map(|service| (&service.meta.id.namespace, &service.selector));
    let entries: Vec<_> = world.entries().filter(|entry| entry.hosts.contains(&rule.host)).collect();
    // Endpoints that are written down have labels of their own.
    let written: Vec<&Labels> =
        entries.iter().flat_map(|entry| &entry.endpoints).map(|endpoint| &endpoint.labels).collect();
    let entries =
        entries.iter().filter_map(|entry| Some((&entry.meta.id.namespace, entry.workload_selector.as_ref()?)));
    let selectors: Vec<_> = services.chain(entries).collect();
    for (index, subset) in rule.subsets.iter().enumerate() {
        let ours =
            |labels: &&Labels| subset.labels.iter().all(|(key, _)| is_topology(key)) || selects(&subset.labels, labels);
        let pods = world.pods().filter(|pod| {
            selectors
                .iter()
                .any(|(namespace, selector)| pod.meta.id.namespace == **namespace && selects(selector, &pod.labels))
        });
        let carried = pods.map(|pod| &pod.labels).chain(written.iter().copied()).any(|labels| ours(&labels));
        if !carried {
            let message = format!(
                "The Subset {} defined in the DestinationRule does not select any pods. Which may lead to 503 UH (NoHealthyUpstream)",
                subset.name
            );
            report.say("IST0173", Level::Error, &rule.meta, format!("spec.subsets[{index}]"), message);
        }
    }
}

/// Labels that endpoints have from where they run.
fn is_topology(key: &str) -> bool {
    key.starts_with("topology.") || key == "kubernetes.io/hostname"
}

/// TLS that verifies nothing (`ca-certificates.go`).
fn certificates(meta: &Meta, policy: &Value, path: &str, report: &mut Report) {
    let verifies = |tls: &Value| {
        let given = |field: &str| tls[field].as_str().is_some_and(|text| !text.is_empty());
        let is_tls = matches!(tls["mode"].as_str(), Some("SIMPLE" | "MUTUAL"));
        !is_tls || given("caCertificates") || given("credentialName")
    };
    let mode = |tls: &Value| tls["mode"].as_str().unwrap_or_default().to_owned();
    let tls = &policy["tls"];
    if !verifies(tls) {
        let message = format!(
            "DestinationRule has TLS mode set to {} but no caCertificates are set to validate server identity for its host",
            mode(tls)
        );
        report.say("IST0128", Level::Warning, meta, format!("{path}.tls"), message);
    }
    for (index, settings) in policy["portLevelSettings"].as_array().into_iter().flatten().enumerate() {
        let tls = &settings["tls"];
        if !verifies(tls) {
            let message = format!(
                "DestinationRule has TLS mode set to {} but no caCertificates are set to validate server identity at port {}",
                mode(tls),
                settings["port"]["number"]
            );
            report.say("IST0129", Level::Warning, meta, format!("{path}.portLevelSettings[{index}].tls"), message);
        }
    }
}
