//! Kubernetes Service.

use super::{
    export_to,
    findings::{Findings, Path},
    locality_policy,
    manifest::Manifest,
    protocol,
};
use crate::model::service::{Service, ServiceKind, ServicePort, TargetPort};
use serde::Deserialize;
use std::collections::BTreeMap;

/// The fields of a Service's spec that routing needs (core/v1 in kubernetes/api).
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    r#type: String,
    external_name: String,
    selector: BTreeMap<String, String>,
    ports: Vec<Port>,
    traffic_distribution: Option<String>,
    internal_traffic_policy: Option<String>,
    #[serde(rename = "clusterIP")]
    cluster_ip: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Port {
    name: String,
    port: u32,
    protocol: String,
    app_protocol: Option<String>,
    target_port: Option<IntOrString>,
    node_port: u32,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum IntOrString {
    Int(u32),
    String(String),
}

/// Reads a Service (`ConvertService` in istio/pilot/pkg/serviceregistry/kube/conversion.go).
pub(super) fn ingest(manifest: &Manifest, findings: &mut Findings<'_>) -> Option<Service> {
    let spec: Spec = findings.kubernetes("spec")?;
    let path = Path::SPEC;
    let mut ports = Vec::with_capacity(spec.ports.len());
    for (index, port) in spec.ports.iter().enumerate() {
        let path = path.field("ports");
        ports.extend(read_port(port, &path.index(index), findings));
    }
    let kind = if spec.r#type == "ExternalName" && !spec.external_name.is_empty() {
        ServiceKind::ExternalName(spec.external_name.to_ascii_lowercase().into())
    } else {
        ServiceKind::Endpoints
    };
    let exported = manifest.annotations.get("networking.istio.io/exportTo").map(|value| &**value);
    let disabled = manifest.labels.get("experimental.istio.io/disable-gateway-port-translation");
    Some(Service {
        meta: manifest.meta.clone(),
        distribution: locality_policy::distribution(spec.traffic_distribution.as_deref(), manifest),
        node_local: spec.internal_traffic_policy.as_deref() == Some("Local"),
        is_headless: spec.cluster_ip.as_deref() == Some("None"),
        kind,
        ports,
        selector: super::labels::labels(&spec.selector),
        labels: manifest.labels.clone(),
        node_ports: spec
            .ports
            .iter()
            .filter_map(|port| u16::try_from(port.node_port).ok())
            .filter(|port| *port != 0)
            .collect(),
        visibility: export_to::annotated(exported, &manifest.id().namespace),
        port_translation_disabled: disabled.is_some_and(|value| &**value == "true"),
    })
}

/// `None` for ports of UDP and SCTP, which no gateway forwards.
fn read_port(port: &Port, path: &Path<'_>, findings: &mut Findings<'_>) -> Option<ServicePort> {
    if !matches!(port.protocol.as_str(), "" | "TCP") {
        return None;
    }
    let number = super::destination::port(port.port, &path.field("port"), findings)?;
    let target = match &port.target_port {
        None | Some(IntOrString::Int(0)) => TargetPort::Number(number),
        Some(IntOrString::Int(target)) => {
            TargetPort::Number(super::destination::port(*target, &path.field("targetPort"), findings)?)
        }
        Some(IntOrString::String(name)) if name.is_empty() => TargetPort::Number(number),
        Some(IntOrString::String(name)) => TargetPort::Name(name.as_str().into()),
    };
    let protocol_hint = protocol::hint(port.app_protocol.as_deref(), &port.name).into();
    Some(ServicePort { number, name: port.name.as_str().into(), target, protocol_hint })
}
