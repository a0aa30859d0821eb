//! Gateways, and the VirtualServices that name them (analyzers/gateway, analyzers/virtualservice/gateways.go).

use super::{Level, Report, World, shown};
use crate::model::{
    gateway::{Gateway, Server},
    object::{Kind, Labels, ObjectId, selects},
    resource::Resource,
    service::TargetPort,
    virtual_service::VirtualService,
};

pub(super) fn look(world: &World<'_>, report: &mut Report) {
    for gateway in world.gateways() {
        let selector = gateway.selector.clone().unwrap_or_default();
        if !selector.is_empty() && !world.workloads().any(|labels| selects(&selector, labels)) {
            let message = format!("Referenced selector not found: {:?}: no pod carries these labels", shown(&selector));
            report.say("IST0101", Level::Error, &gateway.meta, "spec.selector", message);
            continue;
        }
        ports(world, gateway, &selector, report);
        conflicts(world, gateway, &selector, report);
    }
    certificates(world, report);
    credentials(world, report);
    for service in world.virtual_services() {
        references(world, service, report);
    }
}

/// Servers on ports that no Service leads to.
fn ports(world: &World<'_>, gateway: &Gateway, selector: &Labels, report: &mut Report) {
    let pods: Vec<&Labels> = world.workloads().filter(|labels| selects(selector, labels)).collect();
    let fronts =
        world.services().filter(|s| !s.selector.is_empty() && pods.iter().any(|pod| selects(&s.selector, pod)));
    let ports: Vec<_> = fronts.flat_map(|service| &service.ports).collect();
    for server in &gateway.servers {
        let leads =
            ports.iter().any(|port| port.number == server.port || port.target == TargetPort::Number(server.port));
        if !ports.is_empty() && !leads {
            let message = format!(
                "The gateway is listening on a target port (port {}) that is not defined in the Service associated with its \
                 workload instances (Pod selector {})",
                server.port,
                shown(selector)
            );
            report.say(
                "IST0162",
                Level::Warning,
                &gateway.meta,
                format!("spec.servers[{}].port", server.index),
                message,
            );
        }
    }
}

/// Servers of other Gateways on the same pods with the same port, bind and host.
fn conflicts(world: &World<'_>, gateway: &Gateway, selector: &Labels, report: &mut Report) {
    let hosts = |server: &Server| -> Vec<String> {
        server.hosts.iter().map(|h| format!("{:?}/{}", h.namespace, h.host)).collect()
    };
    for server in &gateway.servers {
        let own = hosts(server);
        let mut others: Vec<String> = Vec::new();
        for other in world.gateways().filter(|other| other.meta.id != gateway.meta.id) {
            let theirs = other.selector.clone().unwrap_or_default();
            let nested = selects(selector, &theirs) || selects(&theirs, selector);
            let same_pods = *selector == theirs
                || (nested && world.workloads().any(|pod| selects(selector, pod) && selects(&theirs, pod)));
            let clashes =
                |s: &Server| s.port == server.port && s.bind == server.bind && hosts(s).iter().any(|h| own.contains(h));
            if same_pods && other.servers.iter().any(clashes) {
                others.push(format!("{}/{}", other.meta.id.namespace, other.meta.id.name));
            }
        }
        if !others.is_empty() {
            let hosts: Vec<&str> = server.hosts.iter().map(|host| host.host.as_str()).collect();
            let message = format!(
                "Conflict with gateways {} (workload selector {}, port {}, hosts {})",
                others.join(","),
                shown(selector),
                server.port,
                hosts.join(",")
            );
            report.say("IST0145", Level::Error, &gateway.meta, format!("spec.servers[{}]", server.index), message);
        }
    }
}

/// Secrets that are not there, and those that are no credentials (gateway/secret.go).
fn credentials(world: &World<'_>, report: &mut Report) {
    for gateway in world.objects.iter().filter(|read| read.manifest.kind() == Kind::Gateway) {
        for (index, name) in credential_names(gateway) {
            let id = ObjectId::new(Kind::Secret, &world.settings.gateway_namespace, name);
            let known = world.credentials.iter().find(|credential| credential.id == id);
            let path = format!("spec.servers[{index}].tls.credentialName");
            // Of a Gateway for nobody its selector is said already.
            if known.is_none() && is_ours(world, gateway) && !name.is_empty() {
                let message = format!("Referenced credentialName not found: {name:?}");
                report.say("IST0101", Level::Error, &gateway.manifest.meta, path, message);
                continue;
            }
            let Some(fault) = known.and_then(|credential| credential.fault.as_deref()) else { continue };
            let message = format!(
                "The credential referenced by the Gateway {} in namespace {} is invalid, which can cause the traffic not \
                 to work as expected: {name}: {fault}",
                gateway.manifest.id().name,
                id.namespace
            );
            report.say("IST0161", Level::Error, &gateway.manifest.meta, path, message);
        }
    }
}

/// Whether the Gateway selects this gateway, in whose namespace its Secrets are then.
fn is_ours(world: &World<'_>, read: &super::Examined) -> bool {
    let Some(Resource::Gateway(gateway)) = &read.resource else { return false };
    let settings = world.settings;
    let selects_one =
        |selector| std::iter::once(&settings.gateway_labels).chain(&settings.roles).any(|own| selects(selector, own));
    gateway.selector.as_ref().is_none_or(selects_one)
}

/// The index of each server that names a Secret, and the name.
fn credential_names(gateway: &super::Examined) -> impl Iterator<Item = (usize, &str)> {
    let servers = gateway.manifest.object["spec"]["servers"].as_array().into_iter().flatten().enumerate();
    servers.filter_map(|(index, server)| Some((index, server["tls"]["credentialName"].as_str()?)))
}

/// One certificate of several Gateways: clients reuse HTTP/2 connections over them, and get 404 (gateway/certificate.go).
fn certificates(world: &World<'_>, report: &mut Report) {
    let mut known: Vec<(&super::Examined, usize, String)> = Vec::new();
    for read in world.objects.iter().filter(|read| read.manifest.kind() == Kind::Gateway) {
        known.extend(credential_names(read).map(|(index, name)| (read, index, name.to_owned())));
    }
    for (read, index, name) in &known {
        let same = |other: &&(&super::Examined, usize, String)| {
            other.2 == *name && other.0.manifest.id() != read.manifest.id()
        };
        let mut others: Vec<String> =
            known.iter().filter(same).map(|other| other.0.manifest.id().to_string()).collect();
        others.dedup();
        if !others.is_empty() && !name.is_empty() {
            let message = format!(
                "Duplicate certificate in multiple gateways [{}] may cause 404s if clients re-use HTTP2 connections",
                others.join(" ")
            );
            let path = format!("spec.servers[{index}].tls.credentialName");
            report.say("IST0138", Level::Warning, &read.manifest.meta, path, message);
        }
    }
}

fn references(world: &World<'_>, service: &VirtualService, report: &mut Report) {
    for (index, name) in service.gateways.iter().enumerate() {
        let path = format!("spec.gateways[{index}]");
        let full = format!("{}/{}", name.namespace, name.name);
        if name.name.contains("istio-autogenerated-k8s-gateway") {
            let message = format!(
                "Gateway reference in VirtualService is to an implementation-generated internal Gateway: {full}"
            );
            report.say("IST0165", Level::Warning, &service.meta, path, message);
            continue;
        }
        let id = ObjectId::new(Kind::Gateway, &name.namespace, &name.name);
        let exists = world.objects.iter().any(|read| *read.manifest.id() == id);
        if !exists {
            report.say(
                "IST0101",
                Level::Error,
                &service.meta,
                path.clone(),
                format!("Referenced gateway not found: {full:?}"),
            );
        }
        let gateway = world.gateways().find(|gateway| gateway.meta.id == id);
        let open = gateway.into_iter().flat_map(|gateway| &gateway.servers).flat_map(|server| &server.hosts);
        let open = open.filter(|host| host.namespace.as_ref().is_none_or(|only| *only == service.meta.id.namespace));
        let meets = open.into_iter().any(|host| service.hosts.iter().any(|own| own.intersects(&host.host)));
        if !meets && !service.hosts.is_empty() {
            let hosts: Vec<&str> = service.hosts.iter().map(super::HostPattern::as_str).collect();
            let message =
                format!("one or more host [{}] defined in VirtualService not found in Gateway {full}", hosts.join(" "));
            report.say("IST0132", Level::Warning, &service.meta, path, message);
        }
    }
}
