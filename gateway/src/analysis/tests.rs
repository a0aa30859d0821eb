//! Every message on the least that brings it about.

use super::*;
use crate::{
    ingest::{IngestContext, ingest_all, manifest},
    model::object::Kind,
    routing::compiler::compile,
};
use std::collections::BTreeMap;

/// A Gateway, a Service with pods of two versions, and the gateway's own Service: nothing to say about.
const COMMON: &str = "
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: g}
spec: {selector: {istio: ingressgateway}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}]}
---
apiVersion: v1
kind: Service
metadata: {name: s}
spec: {selector: {app: s}, ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Pod
metadata: {name: s-1, labels: {app: s, version: v1}}
status: {phase: Running, podIP: 10.244.0.1}
---
apiVersion: v1
kind: Service
metadata: {name: istio-ingressgateway, namespace: istio-system}
spec: {selector: {istio: ingressgateway}, ports: [{name: http, port: 80, targetPort: 8080}]}
";

/// `code object path` of everything said about the common objects and `more`.
fn said(more: &str) -> Vec<String> {
    let parsed = manifest::parse(&format!("{COMMON}---\n{more}"), "test.yaml", "default");
    assert!(parsed.problems.is_empty(), "{:?}", parsed.problems);
    let read = ingest_all(&parsed.manifests, &IngestContext { cluster_domain: "cluster.local".into() });
    let objects: Vec<Examined> = parsed
        .manifests
        .into_iter()
        .zip(read)
        .map(|(manifest, (resource, problems))| Examined { manifest, resource, problems })
        .collect();
    let resources: BTreeMap<_, _> =
        objects.iter().filter_map(|o| o.resource.clone()).map(|r| (r.meta().id.clone(), r)).collect();
    let settings = CompileSettings::default();
    let (snapshot, compiled) = compile(resources.into_values(), settings.clone());
    let world = World {
        objects: &objects,
        foreign: &parsed.foreign,
        settings: &settings,
        snapshot: &snapshot,
        compiled: &compiled,
        credentials: &[Credential {
            id: ObjectId::new(Kind::Secret, "istio-system", "expired"),
            fault: Some("data.tls.crt: the certificate ended".to_owned()),
        }],
    };
    analyze(&world).into_iter().map(|m| format!("{} {} {}", m.code, m.object, m.path).trim_end().to_owned()).collect()
}

fn virtual_service(spec: &str) -> String {
    format!("apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: v}}\nspec: {spec}\n")
}

fn object(kind: &str, name: &str, spec: &str) -> String {
    let group = match kind {
        "WasmPlugin" => "extensions.istio.io/v1alpha1",
        "AuthorizationPolicy" | "PeerAuthentication" | "RequestAuthentication" => "security.istio.io/v1",
        "Telemetry" => "telemetry.istio.io/v1",
        "Service" => "v1",
        _ => "networking.istio.io/v1alpha3",
    };
    format!("apiVersion: {group}\nkind: {kind}\nmetadata: {name}\nspec: {spec}\n---\n")
}

#[track_caller]
fn check(more: &str, expected: &[&str]) {
    let said = said(more);
    for line in expected {
        assert!(said.iter().any(|said| said == line), "{more}\n{line} is not in\n{}", said.join("\n"));
    }
    if expected.is_empty() {
        assert!(said.is_empty(), "{more}\n{}", said.join("\n"));
    }
}

#[test]
fn good_objects_are_nothing_to_talk_about() {
    check("", &[]);
    check(&virtual_service("{hosts: [a.com], gateways: [g], http: [{route: [{destination: {host: s}}]}]}"), &[]);
}

#[test]
fn references_that_lead_nowhere() {
    let route = |route: &str| virtual_service(&format!("{{hosts: [a.com], gateways: [g], http: [{route}]}}"));
    check(
        &virtual_service("{hosts: [a.com], gateways: [gone], http: [{route: [{destination: {host: s}}]}]}"),
        &["IST0101 VirtualService default/v spec.gateways[0]", "IST0132 VirtualService default/v spec.gateways[0]"],
    );
    check(
        &route("{route: [{destination: {host: gone}}]}"),
        &["IST0101 VirtualService default/v spec.http[0].route[0].destination.host"],
    );
    check(
        &route("{route: [{destination: {host: s, port: {number: 81}}}]}"),
        &["IST0101 VirtualService default/v spec.http[0].route[0].destination.port.number"],
    );
    check(
        &route("{route: [{destination: {host: s, subset: v1}}]}"),
        &["IST0101 VirtualService default/v spec.http[0].route[0].destination.subset"],
    );
    check(
        &route("{route: [{destination: {host: s}}], mirror: {host: gone}}"),
        &["IST0101 VirtualService default/v spec.http[0].mirror.host"],
    );
    check(&route("{delegate: {name: gone}}"), &["IST0101 VirtualService default/v spec.http[0].delegate"]);
    check(
        &object(
            "Gateway",
            "{name: h}",
            "{selector: {istio: nobody}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}]}",
        ),
        &["IST0101 Gateway default/h spec.selector"],
    );
    check(&object("DestinationRule", "{name: d}", "{host: gone}"), &["IST0174 DestinationRule default/d spec.host"]);
    let many = object(
        "Service",
        "{name: many}",
        "{selector: {app: s}, ports: [{name: http, port: 80}, {name: http-b, port: 81}]}",
    );
    check(
        &(many + &route("{route: [{destination: {host: many}}]}")),
        &["IST0112 VirtualService default/v spec.http[0].route[0].destination.port"],
    );
    check(
        &virtual_service(
            "{hosts: [a.com], gateways: [x-istio-autogenerated-k8s-gateway-y], http: [{route: [{destination: {host: s}}]}]}",
        ),
        &["IST0165 VirtualService default/v spec.gateways[0]"],
    );
}

#[test]
fn gateways_in_each_other_s_way() {
    let server = |port: u16, host: &str| {
        format!(
            "{{selector: {{istio: ingressgateway}}, servers: [{{port: {{number: {port}, name: http, protocol: HTTP}}, hosts: [{host}]}}]}}"
        )
    };
    check(
        &object("Gateway", "{name: h}", &server(80, "'*'")),
        &["IST0145 Gateway default/h spec.servers[0]", "IST0145 Gateway default/g spec.servers[0]"],
    );
    check(&object("Gateway", "{name: h}", &server(99, "b.com")), &["IST0162 Gateway default/h spec.servers[0].port"]);
    let tls = |host: &str| {
        format!(
            "{{selector: {{istio: ingressgateway}}, servers: [{{port: {{number: 443, name: https, protocol: HTTPS}}, tls: {{mode: SIMPLE, credentialName: c}}, hosts: [{host}]}}]}}"
        )
    };
    check(
        &(object("Gateway", "{name: h}", &tls("b.com")) + &object("Gateway", "{name: i}", &tls("c.com"))),
        &["IST0138 Gateway default/h spec.servers[0].tls.credentialName"],
    );
    check(
        &object("Gateway", "{name: h}", &tls("b.com").replace("credentialName: c", "credentialName: expired")),
        &["IST0161 Gateway default/h spec.servers[0].tls.credentialName"],
    );
    let missing = "IST0101 Gateway default/h spec.servers[0].tls.credentialName";
    check(&object("Gateway", "{name: h}", &tls("b.com")), &[missing]);
    for unsaid in [
        tls("b.com").replace("credentialName: c", "credentialName: expired"),
        // Whose Secrets those are nobody knows.
        tls("b.com").replace("istio: ingressgateway", "istio: of-others"),
    ] {
        let said = said(&object("Gateway", "{name: h}", &unsaid));
        assert!(!said.iter().any(|line| line == missing), "{said:?}");
    }
    let other = object("Gateway", "{name: h}", &server(80, "b.com"));
    check(
        &(other + &virtual_service("{hosts: [a.com], gateways: [h], http: [{route: [{destination: {host: s}}]}]}")),
        &["IST0132 VirtualService default/v spec.gateways[0]"],
    );
}

#[test]
fn virtual_services_of_the_mesh() {
    let mesh = |name: &str, subset: &str| {
        object(
            "VirtualService",
            &format!("{{name: {name}}}"),
            &format!("{{hosts: [s], http: [{{route: [{{destination: {{host: s{subset}}}}}]}}]}}"),
        )
    };
    check(
        &(mesh("m", "") + &mesh("m2", "")),
        &["IST0109 VirtualService default/m spec.hosts", "IST0109 VirtualService default/m2 spec.hosts"],
    );
    check(
        &(mesh("m", ", subset: v1")
            + &virtual_service("{hosts: [a.com], gateways: [g], http: [{route: [{destination: {host: s}}]}]}")),
        &["IST0140 VirtualService default/v spec.http[0].route[0].destination"],
    );
    check(
        &virtual_service(
            "{hosts: [a.com], gateways: [g], http: [{match: [{headers: {'@request.auth.claims.sub': {exact: a}}}], route: [{destination: {host: s}}]}]}",
        ),
        &["IST0149 VirtualService default/v spec.http[0].match[0]"],
    );
}

#[test]
fn rules_of_destinations() {
    check(
        &object(
            "DestinationRule",
            "{name: d}",
            "{host: s, subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]}",
        ),
        &["IST0173 DestinationRule default/d spec.subsets[1]"],
    );
    check(
        &object(
            "DestinationRule",
            "{name: d}",
            "{host: s, trafficPolicy: {tls: {mode: SIMPLE}, portLevelSettings: [{port: {number: 80}, tls: {mode: SIMPLE}}]}}",
        ),
        &[
            "IST0128 DestinationRule default/d spec.trafficPolicy.tls",
            "IST0129 DestinationRule default/d spec.trafficPolicy.portLevelSettings[0].tls",
        ],
    );
}

#[test]
fn entries_and_services() {
    let entry = |name: &str, protocol: &str, rest: &str| {
        object(
            "ServiceEntry",
            &format!("{{name: {name}}}"),
            &format!("{{hosts: [e.com], ports: [{{number: 80, name: p, protocol: {protocol}}}], {rest}}}"),
        )
    };
    check(&entry("e", "TCP", "resolution: NONE"), &["IST0134 ServiceEntry default/e spec.ports[0].protocol"]);
    check(
        &(entry("e", "HTTP", "resolution: DNS") + &entry("f", "GRPC", "resolution: DNS")),
        &["IST0177 ServiceEntry default/e spec.ports", "IST0177 ServiceEntry default/f spec.ports"],
    );
    check(&entry("e", "HTTP", "resolution: NONE"), &["NGW0301 ServiceEntry default/e spec.resolution"]);
    check(
        &entry("e", "HTTP", "resolution: STATIC, endpoints: [{address: 169.254.169.254}]"),
        &["NGW0004 ServiceEntry default/e spec.endpoints[0].address"],
    );
    check(
        &object("Service", "{name: t}", "{selector: {app: s}, ports: [{name: web, port: 80}]}"),
        &["IST0118 Service default/t spec.ports[0].name"],
    );
    check(
        &object("Service", "{name: t}", "{type: ExternalName, externalName: e.com, ports: [{name: tcp, port: 80}]}"),
        &["IST0150 Service default/t spec.ports[0].name"],
    );
}

#[test]
fn findings_of_validate_have_codes() {
    let rules = |rules: &str| virtual_service(&format!("{{hosts: [a.com], gateways: [g], http: [{rules}]}}"));
    let to = "route: [{destination: {host: s}}]";
    check(&rules("{}"), &["IST0106 VirtualService default/v spec.http[0]"]);
    check(&rules(&format!("{{{to}}}, {{{to}}}")), &["IST0130 VirtualService default/v spec.http[1]"]);
    let twice = format!("{{match: [{{uri: {{prefix: /a}}}}], {to}}}, {{match: [{{uri: {{prefix: /a/b}}}}], {to}}}");
    check(&rules(&twice), &["IST0131 VirtualService default/v spec.http[1].match[0]"]);
    check(
        &rules(&format!("{{{to}, mirrorPercent: 50}}")),
        &["IST0002 VirtualService default/v spec.http[0].mirrorPercent"],
    );
    check(
        &virtual_service(&format!("{{hosts: [a.com], gateways: [g.default.svc.cluster.local], http: [{{{to}}}]}}")),
        &["IST0133 VirtualService default/v spec.gateways[0]"],
    );
    check(&rules(&format!("{{{to}, nonsense: 1}}")), &["NGW0001 VirtualService default/v spec.http[0].nonsense"]);
}

#[test]
fn what_no_request_reaches() {
    let rules = |name: &str, rules: &str| {
        object(
            "VirtualService",
            &format!("{{name: {name}}}"),
            &format!("{{hosts: [a.com], gateways: [g], http: [{rules}]}}"),
        )
    };
    let to = "route: [{destination: {host: s}}]";
    let first = rules("m", &format!("{{match: [{{uri: {{prefix: /a}}}}], {to}}}"));
    let second = rules(
        "m2",
        &format!(
            "{{match: [{{uri: {{exact: /a/b}}, method: {{exact: GET}}}}], {to}}}, {{match: [{{uri: {{prefix: /c}}}}], {to}}}"
        ),
    );
    let said = said(&(first + &second));
    assert_eq!(said, ["NGW0101 VirtualService default/m2 spec.http[0].match[0]"]);
    check(
        &rules("m", &format!("{{match: [{{uri: {{prefix: /}}}}], {to}}}, {{match: [{{uri: {{exact: /x}}}}], {to}}}")),
        &["NGW0102 VirtualService default/m spec.http[1]"],
    );
    check(
        &rules("m", &format!("{{match: [{{port: 81}}], {to}}}, {{match: [{{uri: {{exact: /x}}}}], {to}}}")),
        &["NGW0102 VirtualService default/m spec.http[0]"],
    );
    check(
        &virtual_service(&format!("{{hosts: [a.com], gateways: [g], exportTo: [.], http: [{{{to}}}]}}")),
        &["NGW0103 VirtualService default/v spec.gateways"],
    );
    check(
        &rules("m", "{route: [{destination: {host: s}, weight: 100}, {destination: {host: s}}]}"),
        &["NGW0104 VirtualService default/m spec.http[0].route[1].weight"],
    );
    let empty = object("Service", "{name: nobody}", "{selector: {app: nobody}, ports: [{name: http, port: 80}]}");
    check(
        &(empty + &rules("m", "{route: [{destination: {host: nobody}}]}")),
        &["NGW0105 VirtualService default/m spec.http[0]"],
    );
}

#[test]
fn objects_that_istio_s_gateway_would_obey_are_named() {
    let near = "{name: x, namespace: istio-system}";
    let ours = "{matchLabels: {istio: ingressgateway}}";
    for (kind, spec) in [
        (
            "EnvoyFilter",
            "{workloadSelector: {labels: {istio: ingressgateway}}, configPatches: [{match: {context: GATEWAY}}]}"
                .to_owned(),
        ),
        ("WasmPlugin", format!("{{selector: {ours}}}")),
        ("Telemetry", "{}".to_owned()),
        ("AuthorizationPolicy", format!("{{selector: {ours}}}")),
        ("RequestAuthentication", "{}".to_owned()),
        ("PeerAuthentication", "{mtls: {mode: STRICT}}".to_owned()),
        ("Sidecar", "{workloadSelector: {labels: {istio: ingressgateway}}}".to_owned()),
    ] {
        check(&object(kind, near, &spec), &[&format!("NGW0201 {kind} istio-system/x spec")]);
    }
    check(&object("AuthorizationPolicy", "{name: x, namespace: shop}", "{}"), &[]);
    check(&object("EnvoyFilter", near, "{configPatches: [{match: {context: SIDECAR_INBOUND}}]}"), &[]);
    check(&object("PeerAuthentication", near, "{mtls: {mode: PERMISSIVE}}"), &[]);
    check(&object("WasmPlugin", near, "{selector: {matchLabels: {app: other}}}"), &[]);
}

#[test]
fn opt_outs_that_contradict_each_other_are_named() {
    let namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: default, annotations: {node-gateway.io/fastpath: 'off'}}\n---\n";
    let pod = |value: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: p, annotations: {{node-gateway.io/fastpath: '{value}'}}}}\n"
        )
    };
    check(&format!("{namespace}{}", pod("on")), &["NGW0402 Pod default/p metadata.annotations"]);
    check(&pod("maybe"), &["NGW0401 Pod default/p metadata.annotations"]);
    check(&format!("{namespace}{}", pod("off")), &[]);
}

#[test]
fn conditions_that_are_false_are_named() {
    let object = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v}\nspec: {hosts: [a.com], gateways: [g], http: [{route: [{destination: {host: s}}]}]}\nstatus: {conditions: [{type: Reconciled, status: 'False'}]}\n";
    check(object, &["IST0171 VirtualService default/v status.conditions[0]"]);
}

#[test]
fn annotations_of_istio_are_known_and_where_they_belong() {
    let service = |annotations: &str| {
        object("Service", &format!("{{name: t, annotations: {annotations}}}"), "{ports: [{name: http, port: 80}]}")
    };
    check(&service("{networking.istio.io/exportto: x}"), &["IST0108 Service default/t metadata.annotations"]);
    check(&service("{proxy.istio.io/config: '{}'}"), &["IST0107 Service default/t metadata.annotations"]);
    check(
        &service("{alpha.istio.io/canonical-serviceaccounts: a}"),
        &["IST0135 Service default/t metadata.annotations"],
    );
    for fine in [
        "{networking.istio.io/exportTo: '*'}",
        "{example.com/x: text}",
        "{istio.io/rev: a}",
        "{galley.istio.io/analyze-suppress: '*'}",
    ] {
        check(&service(fine), &[]);
    }
    let pod = |metadata: &str| {
        format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: p, {metadata}}}\nstatus: {{phase: Running}}\n")
    };
    check(&pod("annotations: {sidecar.istio.io/inject: 'true'}"), &["IST0135 Pod default/p metadata.annotations"]);
    check(&pod("labels: {sidecar.istio.io/inject: 'true'}, annotations: {sidecar.istio.io/inject: 'true'}"), &[]);
    check(&pod("annotations: {kubernetes.io/ingress.class: istio}"), &["IST0107 Pod default/p metadata.annotations"]);
    let namespace =
        "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, annotations: {proxy.istio.io/config: '{}'}}\n";
    check(namespace, &["IST0107 Namespace shop metadata.annotations"]);
}
