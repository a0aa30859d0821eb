//! The objects most tests serve, as YAML.

use std::net::SocketAddr;

/// The port of the Gateway that [`routes`] makes.
pub const PORT: u16 = 8080;

/// A Gateway for every host on [`PORT`], and a VirtualService with `http` for its rules, which stand two columns in.
pub fn routes(http: &str) -> String {
    format!(
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
  http:
{http}"
    )
}

/// A Service `name` on port 80 whose endpoints are `addresses`, each in an EndpointSlice of its own.
pub fn service(name: &str, addresses: &[SocketAddr]) -> String {
    let mut yaml = format!(
        "
---
apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec:
  ports: [{{port: 80, name: http}}]"
    );
    for (number, address) in addresses.iter().enumerate() {
        yaml.push_str(&format!(
            "
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: {name}-{number}
  labels: {{kubernetes.io/service-name: {name}}}
addressType: {family}
ports: [{{name: http, port: {port}}}]
endpoints: [{{addresses: ['{ip}'], conditions: {{ready: true}}}}]",
            family = if address.is_ipv6() { "IPv6" } else { "IPv4" },
            port = address.port(),
            ip = address.ip(),
        ));
    }
    yaml.push('\n');
    yaml
}
