//! The objects the gateway serves.

use super::PORT;
use fastrand::Rng;
use std::{fmt::Write, net::SocketAddr};

/// A Gateway for every host, and a VirtualService that sends what begins with `/NAME/` to the Service NAME, for each of
/// `services`, whose only endpoint is given.
pub(crate) fn everything_to(services: &[(String, SocketAddr)]) -> String {
    table(services, |name| format!("{{destination: {{host: {name}}}}}"))
}

/// The same, but that each path shares its requests with the Service of another, by weights drawn at random.
pub(crate) fn weighted(services: &[(String, SocketAddr)], random: &mut Rng) -> String {
    table(services, |name| {
        let (other, _) = &services[random.usize(..services.len())];
        let weight = random.u32(0..=100);
        let rest = 100 - weight;
        format!(
            "{{destination: {{host: {name}}}, weight: {weight}}}, {{destination: {{host: {other}}}, weight: {rest}}}"
        )
    })
}

fn table(services: &[(String, SocketAddr)], mut destinations: impl FnMut(&str) -> String) -> String {
    let mut yaml = format!(
        "
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: gateway}}
spec:
  selector: {{istio: ingressgateway}}
  servers:
  - port: {{number: {PORT}, name: http, protocol: HTTP}}
    hosts: ['*']
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: routes}}
spec:
  hosts: ['*']
  gateways: [gateway]
  http:"
    );
    for (name, _) in services {
        let _ = write!(
            yaml,
            "
  - match: [{{uri: {{prefix: /{name}/}}}}]
    route: [{}]",
            destinations(name)
        );
    }
    for (name, address) in services {
        let _ = write!(
            yaml,
            "
---
apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec:
  ports: [{{port: 80, name: http}}]
{}",
            slice(name, *address)
        );
    }
    yaml
}

/// The EndpointSlice that gives the Service `name` its only endpoint.
fn slice(name: &str, address: SocketAddr) -> String {
    let family = if address.is_ipv6() { "IPv6" } else { "IPv4" };
    format!(
        "---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: {name}
  labels: {{kubernetes.io/service-name: {name}}}
addressType: {family}
ports: [{{name: http, port: {port}}}]
endpoints: [{{addresses: ['{ip}'], conditions: {{ready: true}}}}]
",
        port = address.port(),
        ip = address.ip(),
    )
}
