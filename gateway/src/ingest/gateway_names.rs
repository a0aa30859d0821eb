//! The `gateways` of a VirtualService and of its matches.

use super::{
    findings::{Findings, Path},
    hosts,
    labels::is_dns_label,
};
use crate::model::virtual_service::GatewayName;

/// The reserved name of all sidecars.
pub(super) const MESH: &str = "mesh";

/// The gateways that `names` in an object of `namespace` mean, without `mesh`; a name that is none is dropped
/// (`resolveGatewayName` in istio/pilot/pkg/model/virtualservice.go, `validateGatewayNames` in validation.go).
pub(super) fn resolve(
    names: &[String],
    namespace: &str,
    path: &Path<'_>,
    findings: &mut Findings<'_>,
) -> Vec<GatewayName> {
    let resolved = names.iter().enumerate().filter(|(_, name)| *name != MESH).filter_map(|(index, name)| {
        let path = path.index(index);
        check(name, &path, findings);
        let (namespace, name) = match name.split_once('/') {
            Some((".", name)) => (namespace, name),
            Some((other, name)) => (other, name),
            None => match name.split_once('.') {
                // `name.namespace[.svc.cluster.local]`, the form before 1.1.
                Some((name, rest)) => (rest.split('.').next().unwrap_or(rest), name),
                None => (namespace, name.as_str()),
            },
        };
        let complete = !namespace.is_empty() && !name.is_empty();
        complete.then(|| GatewayName { namespace: namespace.into(), name: name.into() })
    });
    resolved.collect()
}

/// `name` in an object of `namespace` as it reads anywhere: `namespace/name`, or `mesh`.
pub(super) fn complete(name: &str, namespace: &str) -> String {
    match name.split_once('/') {
        Some((".", name)) => format!("{namespace}/{name}"),
        Some(_) => name.to_owned(),
        None if name == MESH || name.contains('.') => name.to_owned(),
        None => format!("{namespace}/{name}"),
    }
}

fn check(name: &str, path: &Path<'_>, findings: &mut Findings<'_>) {
    let Some((namespace, gateway)) = name.split_once('/') else {
        if let Some((gateway, rest)) = name.split_once('.') {
            let namespace = rest.split('.').next().unwrap_or(rest);
            findings.suspicious(path, format!("{name:?} is the legacy form: prefer {namespace}/{gateway}"));
        }
        if let Err(reason) = hosts::check_fqdn(name) {
            findings.invalid(path, format!("is no gateway name: {reason}"));
        }
        return;
    };
    if !is_dns_label(namespace) {
        findings.invalid(path, format!("{namespace:?} is no namespace: write namespace/name, or the name alone for a gateway in the same namespace"));
    }
    if !is_dns_label(gateway) {
        findings.invalid(path, format!("{gateway:?} is no gateway name"));
    }
}
