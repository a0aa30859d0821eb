//! What the gateway serves: every backend under its name, without TLS, with it, and with clients' certificates.

use crate::{
    backends::{Backend, Servers, Speaks},
    world::Way,
    world::World,
};
use harness::{
    objects::service,
    tls::certificates::{Authority, Wish},
};
use std::{fmt::Write as _, fs, net::IpAddr, path::Path};

/// How clients reach the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    /// Through a Service, as callers in a cluster do.
    Plain,
    Tls,
    /// Only with a certificate.
    MutualTls,
}

fn address() -> IpAddr {
    World::entrance(Way::V4, false).ip()
}

impl Door {
    pub(crate) fn base(self) -> String {
        match self {
            Self::Plain => format!("http://{}", World::entrance(Way::V4, true).ip()),
            Self::Tls => format!("https://{}:8443", address()),
            Self::MutualTls => format!("https://{}:8444", address()),
        }
    }
}

/// The objects. What clients need to trust the gateway, and to be trusted, is put beside the `content`.
pub(crate) fn serving(servers: &Servers, backends: &[Backend], content: &Path) -> String {
    let authority = Authority::new("peers");
    let server = authority.sign(&Wish::named(&[&address().to_string(), "*.peers.test"]));
    let client = authority.sign(&Wish::named(&["client.test"]));
    for (name, pem) in
        [("authority.pem", &authority.certificate), ("client.pem", &client.certificate), ("client.key", &client.key)]
    {
        fs::write(content.join(name), pem).expect("a file");
    }
    let mut yaml = server.secret("peers", &[("ca.crt", &authority.certificate)]) + GATEWAY;
    for Backend { name, .. } in backends {
        // Paths of gRPC are those of its methods.
        let _ = write!(
            yaml,
            "
  - match: [{{uri: {{prefix: /{name}/}}}}]
    rewrite: {{uri: /}}
    route: [{{destination: {{host: {name}}}}}]
  - match: [{{authority: {{exact: {name}.peers.test}}}}]
    route: [{{destination: {{host: {name}}}}}]"
        );
    }
    for backend in backends {
        let service = service(backend.name, &[servers.address(backend)]);
        let port = match backend.speaks {
            Speaks::Http1 => "name: http",
            Speaks::Http2 => "name: http2",
            Speaks::Grpc => "name: grpc",
        };
        yaml += &service.replace("name: http", port);
    }
    yaml
}

const GATEWAY: &str = "
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gateway}
spec:
  selector: {istio: ingressgateway}
  servers:
  - port: {number: 8080, name: http, protocol: HTTP}
    hosts: ['*']
  - port: {number: 8443, name: https, protocol: HTTPS}
    hosts: ['*']
    tls: {mode: SIMPLE, credentialName: peers}
  - port: {number: 8444, name: mutual, protocol: HTTPS}
    hosts: ['*']
    tls: {mode: MUTUAL, credentialName: peers}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: routes}
spec:
  hosts: ['*']
  gateways: [gateway]
  http:";
