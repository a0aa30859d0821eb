//! Services and Pods, as far as they make routing go wrong (analyzers/service, analyzers/deployment).

use super::{Level, Report, World};
use crate::{
    model::{object::Kind, service::ServiceKind},
    pairing::opt_out::{ANNOTATION, Wish},
};

/// Namespaces of Kubernetes's own.
const SYSTEM: [&str; 4] = ["kube-system", "kube-public", "kube-node-lease", "local-path-storage"];

pub(super) fn look(world: &World<'_>, report: &mut Report) {
    for service in world.services().filter(|service| !SYSTEM.contains(&&*service.meta.id.namespace)) {
        for (index, port) in service.ports.iter().enumerate() {
            let path = format!("spec.ports[{index}].name");
            if matches!(service.kind, ServiceKind::ExternalName(_)) {
                if matches!(&*port.protocol_hint, "" | "tcp") {
                    let message = "Port name for ExternalName service is invalid. Proxy may prevent tcp named ports and \
                                   unmatched traffic for ports serving TCP protocol from being forwarded correctly";
                    report.say("IST0150", Level::Warning, &service.meta, path, message);
                }
            } else if port.protocol_hint.is_empty() {
                let message = format!(
                    "Port name {} (port: {}) doesn't follow the naming convention of Istio port",
                    port.name, port.number
                );
                report.say("IST0118", Level::Info, &service.meta, path, message);
            }
        }
    }
    let wish = |labels: &crate::model::object::Labels| labels.get(ANNOTATION).map(|value| Wish::parse(value));
    for read in world.objects.iter().filter(|read| read.manifest.kind() == Kind::Pod) {
        let meta = &read.manifest.meta;
        let of_namespace = world.foreign.iter().find(|o| o.kind == "Namespace" && *o.name == *meta.id.namespace);
        match (wish(&read.manifest.annotations), of_namespace.and_then(|namespace| wish(&namespace.annotations))) {
            (Some(Err(invalid)), _) => {
                report.say("NGW0401", Level::Warning, meta, "metadata.annotations", invalid.to_string())
            }
            (Some(Ok(own)), Some(Ok(other))) if own != other => {
                let message =
                    format!("{ANNOTATION} says {own:?} and that of its namespace {other:?}: the pod's own counts");
                report.say("NGW0402", Level::Info, meta, "metadata.annotations", message);
            }
            _ => {}
        }
    }
}
