//! Objects of kinds that are not served, where Istio's gateway would have obeyed them.

use super::{Level, Message, Report, World};
use crate::{
    ingest::manifest::Foreign,
    model::object::{Labels, selects},
};
use serde_json::Value;

pub(super) fn look(world: &World<'_>, report: &mut Report) {
    for object in world.foreign {
        let message = match object.kind {
            "EnvoyFilter" if selected(world, object, "workloadSelector", "labels") && is_for_gateways(object) => {
                "Istio's gateway would have its configuration patched; this gateway is no Envoy, and ignores it"
            }
            "WasmPlugin" if selected(world, object, "selector", "matchLabels") => {
                "Istio's gateway would run the plugin; this gateway runs none"
            }
            "Telemetry" if selected(world, object, "selector", "matchLabels") => {
                "Istio's gateway would change its logs, metrics and traces; this gateway has settings of its own"
            }
            "AuthorizationPolicy" if selected(world, object, "selector", "matchLabels") => {
                "Istio's gateway would refuse requests by it; this gateway refuses NONE: keep such requests away by other means"
            }
            "RequestAuthentication" if selected(world, object, "selector", "matchLabels") => {
                "Istio's gateway would verify tokens by it; this gateway verifies none"
            }
            "PeerAuthentication" if is_strict(&object.object) => {
                "workloads that insist on mutual TLS refuse the plaintext of this gateway: make them PERMISSIVE"
            }
            "Sidecar"
                if selected(world, object, "workloadSelector", "labels")
                    && has_selector(object, "workloadSelector", "labels") =>
            {
                "it selects the gateway's pods, which are no sidecars: neither Istio's gateway nor this one narrows what it sees"
            }
            _ => continue,
        };
        let level = match object.kind {
            "AuthorizationPolicy" | "RequestAuthentication" => Level::Error,
            "Sidecar" | "Telemetry" => Level::Info,
            _ => Level::Warning,
        };
        report.0.push(Message {
            code: "NGW0201",
            level,
            object: format!("{} {}/{}", object.kind, object.namespace, object.name),
            path: "spec".to_owned(),
            message: message.to_owned(),
            source: object.source.as_deref().map(str::to_owned),
        });
    }
}

fn labels(object: &Foreign, field: &str, inner: &str) -> Labels {
    let map = object.object["spec"][field][inner].as_object().into_iter().flatten();
    map.filter_map(|(key, value)| Some((key.as_str().into(), value.as_str()?.into()))).collect()
}

fn has_selector(object: &Foreign, field: &str, inner: &str) -> bool {
    !labels(object, field, inner).is_empty()
}

/// Whether the object is in force at the gateway: in the root namespace or the gateway's own, for its labels or for all.
fn selected(world: &World<'_>, object: &Foreign, field: &str, inner: &str) -> bool {
    let settings = world.settings;
    let is_near = *object.namespace == *settings.root_namespace || *object.namespace == *settings.gateway_namespace;
    is_near && selects(&labels(object, field, inner), &settings.gateway_labels)
}

/// Whether some patch is for gateways: in its context, or in any.
fn is_for_gateways(object: &Foreign) -> bool {
    let patches = object.object["spec"]["configPatches"].as_array().into_iter().flatten();
    let contexts = patches.map(|patch| patch["match"]["context"].as_str().unwrap_or("ANY").to_owned());
    contexts.into_iter().any(|context| matches!(context.as_str(), "ANY" | "GATEWAY"))
}

fn is_strict(object: &Value) -> bool {
    let spec = &object["spec"];
    let ports = spec["portLevelMtls"].as_object().into_iter().flatten().map(|(_, port)| &port["mode"]);
    ports.chain([&spec["mtls"]["mode"]]).any(|mode| mode == "STRICT")
}
