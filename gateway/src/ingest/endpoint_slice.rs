//! Kubernetes EndpointSlice.

use super::{findings::Findings, manifest::Manifest};
use crate::model::{
    object::{Kind, ObjectId},
    service::{EndpointCondition, EndpointSlice, SliceEndpoint, SlicePort},
};
use serde::Deserialize;

/// The fields of an EndpointSlice that routing needs (discovery/v1 in kubernetes/api).
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Slice {
    address_type: String,
    ports: Option<Vec<Port>>,
    endpoints: Option<Vec<Endpoint>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Port {
    name: Option<String>,
    port: Option<u32>,
    protocol: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Endpoint {
    addresses: Vec<String>,
    conditions: Option<Conditions>,
    node_name: Option<String>,
    zone: Option<String>,
    target_ref: Option<TargetRef>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Conditions {
    ready: Option<bool>,
    serving: Option<bool>,
    terminating: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct TargetRef {
    kind: Option<String>,
    name: Option<String>,
    namespace: Option<String>,
}

/// Reads an EndpointSlice. `None`, without a finding, for slices of no Service and slices of host names.
pub(super) fn ingest(manifest: &Manifest, findings: &mut Findings<'_>) -> Option<EndpointSlice> {
    let slice: Slice = findings.kubernetes("")?;
    let service = manifest.labels.get("kubernetes.io/service-name").filter(|name| !name.is_empty())?;
    if slice.address_type == "FQDN" {
        return None;
    }
    let ports = slice.ports.unwrap_or_default();
    let namespace = &manifest.id().namespace;
    let endpoints = slice.endpoints.unwrap_or_default();
    Some(EndpointSlice {
        meta: manifest.meta.clone(),
        service: std::sync::Arc::clone(service),
        ports: ports.iter().filter_map(read_port).collect(),
        endpoints: endpoints.iter().map(|endpoint| read_endpoint(endpoint, namespace)).collect(),
    })
}

/// `None` for UDP and SCTP, and for "every port", which routing cannot use.
fn read_port(port: &Port) -> Option<SlicePort> {
    let is_tcp = port.protocol.as_deref().is_none_or(|protocol| matches!(protocol, "" | "TCP"));
    let number = u16::try_from(port.port?).ok().filter(|number| *number != 0 && is_tcp)?;
    Some(SlicePort { name: port.name.as_deref().unwrap_or_default().into(), number })
}

fn read_endpoint(endpoint: &Endpoint, namespace: &str) -> SliceEndpoint {
    let pod = endpoint.target_ref.as_ref().filter(|target| target.kind.as_deref() == Some("Pod")).and_then(|target| {
        let namespace = target.namespace.as_deref().filter(|namespace| !namespace.is_empty()).unwrap_or(namespace);
        Some(ObjectId::new(Kind::Pod, namespace, target.name.as_deref()?))
    });
    let text = |text: &Option<String>| text.as_deref().filter(|text| !text.is_empty()).map(Into::into);
    SliceEndpoint {
        addresses: endpoint.addresses.iter().filter_map(|address| address.parse().ok()).collect(),
        condition: condition(endpoint.conditions.as_ref()),
        node: text(&endpoint.node_name),
        zone: text(&endpoint.zone),
        pod,
    }
}

/// An unknown `ready` counts as ready, an unknown `serving` as `ready` says (discovery/v1, KEP-1672).
fn condition(conditions: Option<&Conditions>) -> EndpointCondition {
    let ready = conditions.and_then(|c| c.ready).unwrap_or(true);
    let serving = conditions.and_then(|c| c.serving).unwrap_or(ready);
    let terminating = conditions.and_then(|c| c.terminating).unwrap_or(false);
    match (ready, serving, terminating) {
        (true, ..) => EndpointCondition::Ready,
        (false, true, true) => EndpointCondition::ServingTerminating,
        (false, false, true) => EndpointCondition::Terminating,
        (false, _, false) => EndpointCondition::NotReady,
    }
}
