//! Kubernetes Pod: its labels, and from files what an EndpointSlice controller would read from it.

use super::{findings::Findings, manifest::Manifest};
use crate::model::service::{Pod, PodAddress, SlicePort};
use serde::Deserialize;
use std::net::IpAddr;

/// The fields of a Pod that routing needs (core/v1 in kubernetes/api). From Kubernetes only `metadata` comes.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Object {
    metadata: Option<Metadata>,
    spec: Option<Spec>,
    status: Option<Status>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Metadata {
    deletion_timestamp: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    node_name: Option<String>,
    containers: Option<Vec<Container>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Container {
    ports: Option<Vec<ContainerPort>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ContainerPort {
    name: Option<String>,
    container_port: u32,
    protocol: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    phase: Option<String>,
    #[serde(rename = "podIP")]
    pod_ip: Option<String>,
    #[serde(rename = "podIPs")]
    pod_ips: Option<Vec<PodIp>>,
    conditions: Option<Vec<Condition>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PodIp {
    ip: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Condition {
    r#type: String,
    status: String,
}

/// Reads a Pod.
pub(super) fn ingest(manifest: &Manifest, findings: &mut Findings<'_>) -> Option<Pod> {
    let object: Object = findings.kubernetes("")?;
    let address = read_address(&object);
    Some(Pod { meta: manifest.meta.clone(), labels: manifest.labels.clone(), address })
}

/// `None` when the Pod has no address, or no status at all.
fn read_address(object: &Object) -> Option<PodAddress> {
    let status = object.status.as_ref()?;
    let mut addresses: Vec<IpAddr> =
        status.pod_ips.iter().flatten().filter_map(|address| address.ip.parse().ok()).collect();
    if addresses.is_empty() {
        addresses.extend(status.pod_ip.as_ref().and_then(|address| address.parse::<IpAddr>().ok()));
    }
    if addresses.is_empty() {
        return None;
    }
    let is_going = object.metadata.as_ref().is_some_and(|metadata| metadata.deletion_timestamp.is_some());
    let spec = object.spec.as_ref();
    let containers = spec.and_then(|spec| spec.containers.as_deref()).unwrap_or_default();
    Some(PodAddress {
        addresses,
        ready: !is_going && is_ready(status),
        node: spec.and_then(|spec| spec.node_name.as_deref()).map(Into::into),
        ports: containers.iter().flat_map(|container| container.ports.iter().flatten()).filter_map(read_port).collect(),
    })
}

/// The Ready condition; a hand-written Pod without conditions is ready when it runs.
fn is_ready(status: &Status) -> bool {
    let ready = status.conditions.iter().flatten().find(|condition| condition.r#type == "Ready");
    match ready {
        Some(condition) => condition.status == "True",
        None => status.phase.as_deref() == Some("Running"),
    }
}

fn read_port(port: &ContainerPort) -> Option<SlicePort> {
    let is_tcp = port.protocol.as_deref().is_none_or(|protocol| matches!(protocol, "" | "TCP"));
    let name = port.name.as_deref().filter(|name| !name.is_empty() && is_tcp)?;
    let number = u16::try_from(port.container_port).ok().filter(|number| *number != 0)?;
    Some(SlicePort { name: name.into(), number })
}
