//! `Destination`: a service, a subset of it, and one of its ports.

use super::{
    IngestContext,
    findings::{Findings, Path},
    hosts,
    labels::is_dns_label,
};
use crate::{istio::common as istio, model::host::HostPattern};
use std::sync::Arc;

/// Where traffic goes, read.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Target {
    pub(super) host: HostPattern,
    pub(super) subset: Option<Arc<str>>,
    pub(super) port: Option<u16>,
}

/// Reads a destination of an object in `namespace` (`validateDestination` in validation.go). What is refused is reported
/// and stays: its share of the requests finds no cluster, as in Istio, instead of going to another destination. `None`
/// when no host is named at all.
pub(super) fn read(
    destination: &istio::Destination,
    namespace: &str,
    context: &IngestContext,
    path: &Path<'_>,
    findings: &mut Findings<'_>,
) -> Option<Target> {
    let host_path = path.field("host");
    if destination.host.is_empty() {
        findings.schema(&host_path, "is required: name a service");
        return None;
    }
    if destination.host == "*" {
        findings.invalid(&host_path, "\"*\" is no destination: name a service");
    } else if let Err(reason) = hosts::check_pattern(&destination.host) {
        findings.invalid(&host_path, reason);
    }
    if !destination.subset.is_empty() && !is_dns_label(&destination.subset) {
        findings.invalid(&path.field("subset"), format!("{:?} is no subset name", destination.subset));
    }
    // Port 0 is on no service.
    let port = destination
        .port
        .as_ref()
        .map(|port| self::port(port.number, &path.field("port").field("number"), findings).unwrap_or(0));
    Some(Target {
        host: hosts::expand(&destination.host, namespace, context),
        subset: (!destination.subset.is_empty()).then(|| destination.subset.as_str().into()),
        port,
    })
}

/// A port number from 1 to 65535; `None`, with a finding, when it is none (`ValidatePort` in
/// istio/pkg/config/validation/agent/validation.go).
pub(super) fn port(number: u32, path: &Path<'_>, findings: &mut Findings<'_>) -> Option<u16> {
    let port = u16::try_from(number).ok().filter(|port| *port != 0);
    if port.is_none() {
        findings.invalid(path, format!("{number} is no port: it must be from 1 to 65535"));
    }
    port
}
