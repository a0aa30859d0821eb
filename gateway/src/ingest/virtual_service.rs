//! VirtualService.

use super::{
    IngestContext,
    delegation::{self, Delegates},
    export_to::{self, Exporter},
    findings::{Findings, Path},
    gateway_names, hosts, http_match, http_rule, l4_routes,
    manifest::Manifest,
    unreachable,
};
use crate::{
    istio::virtual_service as istio,
    model::{host::HostPattern, virtual_service::VirtualService},
};

/// Reads a VirtualService; one without hosts is a delegate, and stands nowhere by itself (`ValidateVirtualService` in istio/pkg/config/validation/validation.go).
pub(super) fn ingest(
    manifest: &Manifest,
    context: &IngestContext,
    delegates: &Delegates,
    findings: &mut Findings<'_>,
) -> Option<VirtualService> {
    let spec: istio::VirtualService = findings.spec()?;
    let path = Path::SPEC;
    let namespace = &manifest.id().namespace;

    let gateways = gateway_names::resolve(&spec.gateways, namespace, &path.field("gateways"), findings);
    let applies_to_mesh = spec.gateways.is_empty() || spec.gateways.iter().any(|name| name == gateway_names::MESH);
    let hosts = read_hosts(&spec, namespace, applies_to_mesh, context, findings);
    if applies_to_mesh {
        check_jwt_claims(&spec, findings);
    }
    if spec.http.is_empty() && spec.tcp.is_empty() && spec.tls.is_empty() {
        findings.invalid(&path, "has no rules: give it http, tls or tcp");
    }
    let mut http = Vec::with_capacity(spec.http.len());
    for (index, route) in spec.http.iter().enumerate() {
        let path = path.field("http");
        http.extend(http_rule::read(index, route, namespace, context, &path.index(index), findings));
        if !spec.hosts.is_empty() {
            http.extend(delegation::rules(index, route, manifest, context, delegates, findings));
        }
    }
    let tls = l4_routes::tls(&spec, namespace, context, findings);
    let tcp = l4_routes::tcp(&spec, namespace, context, findings);
    let visibility =
        export_to::visibility(&spec.export_to, namespace, Exporter::VirtualService, &path.field("exportTo"), findings);
    unreachable::check(&spec, findings);

    if spec.hosts.is_empty() {
        check_delegate(&spec, findings);
    }
    Some(VirtualService { meta: manifest.meta.clone(), hosts, gateways, visibility, http, tls, tcp })
}

/// The hosts that are names, expanded, each once. Of hosts that overlap the webhook accepts none; here each is served.
fn read_hosts(
    spec: &istio::VirtualService,
    namespace: &str,
    applies_to_mesh: bool,
    context: &IngestContext,
    findings: &mut Findings<'_>,
) -> Vec<HostPattern> {
    let path = Path::SPEC;
    let path = path.field("hosts");
    let mut expanded: Vec<HostPattern> = Vec::with_capacity(spec.hosts.len());
    let mut written: Vec<HostPattern> = Vec::with_capacity(spec.hosts.len());
    for (index, host) in spec.hosts.iter().enumerate() {
        let path = path.index(index);
        match hosts::check_pattern(host) {
            Err(reason) if !hosts::is_ip(host) => {
                findings.invalid(&path, reason);
                continue;
            }
            _ if applies_to_mesh && host == "*" => {
                findings.invalid(&path, "\"*\" is not allowed for sidecars: name gateways without mesh, or name hosts");
            }
            _ => {}
        }
        let pattern = HostPattern::new(host);
        if let Some(other) = written.iter().find(|other| other.intersects(&pattern)) {
            findings
                .invalid(&path, format!("{host:?} overlaps with {other}, which is in the list already: remove one"));
        }
        written.push(pattern);
        let pattern = hosts::expand(host, namespace, context);
        if !expanded.contains(&pattern) {
            expanded.push(pattern);
        }
    }
    expanded
}

/// A VirtualService without hosts is a delegate of another.
fn check_delegate(spec: &istio::VirtualService, findings: &mut Findings<'_>) {
    let path = Path::SPEC;
    let forbidden =
        [("gateways", !spec.gateways.is_empty()), ("tls", !spec.tls.is_empty()), ("tcp", !spec.tcp.is_empty())];
    for (field, _) in forbidden.into_iter().filter(|(_, given)| *given) {
        findings.invalid(&path.field(field), "is not allowed without hosts, in a delegate: give hosts or remove it");
    }
    for (index, _) in spec.http.iter().enumerate().filter(|(_, route)| route.delegate.is_some()) {
        let message = "is not allowed in a delegate: delegation has one level";
        findings.invalid(&path.field("http").index(index).field("delegate"), message);
    }
}

fn check_jwt_claims(spec: &istio::VirtualService, findings: &mut Findings<'_>) {
    for (rule, route) in spec.http.iter().enumerate() {
        for (index, request) in route.matches.iter().enumerate() {
            for name in request.headers.keys().chain(request.without_headers.keys()) {
                if http_match::is_jwt_claim(name) {
                    let path = Path::SPEC;
                    let path = path.field("http");
                    let path = path.index(rule);
                    let path = path.field("match");
                    findings.invalid(
                        &path.index(index),
                        format!("{name} is a claim, which only gateways check: name gateways without mesh"),
                    );
                }
            }
        }
    }
}
