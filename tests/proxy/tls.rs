//! TLS that ends at the gateway: real handshakes, from the Secret to the backend.

mod clients;
mod files;
mod secrets;
mod selection;
mod trouble;

use crate::gateway::{Gateway, service};
use harness::{
    http::{backend::Backend, client::get, message::Message},
    objects::PORT,
    tls::{
        certificates::{Authority, Pair, Wish},
        client::Dialect,
    },
};
use std::{io, net::SocketAddr};

/// A Gateway `name` with one HTTPS server on [`PORT`] for `hosts`, and a route for the same hosts to Service `backend`.
pub(crate) fn https(name: &str, hosts: &str, tls: &str) -> String {
    format!(
        "
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: {name}}}
spec:
  selector: {{istio: ingressgateway}}
  servers:
  - port: {{number: {PORT}, name: {name}, protocol: HTTPS}}
    hosts: {hosts}
    tls: {tls}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: {name}}}
spec:
  hosts: {hosts}
  gateways: [{name}]
  http:
  - route: [{{destination: {{host: backend}}}}]
"
    )
}

/// A backend behind an HTTPS server for `a.test` with the Secret `a`.
struct Lab {
    backend: Backend,
    gateway: Gateway,
    authority: Authority,
    pair: Pair,
}

impl Lab {
    /// With `tls` for the settings of the server and `more` for the fields of its Secret.
    fn new(tls: &str, more: &[(&str, &str)]) -> Self {
        let authority = Authority::new("lab");
        let pair = authority.sign(&Wish::named(&["a.test"]));
        let backend = Backend::saying("hello");
        let objects = pair.secret("a", more) + &https("a", "[a.test]", tls) + &service("backend", &[backend.address()]);
        Self { backend, gateway: Gateway::start(&objects), authority, pair }
    }

    fn simple() -> Self {
        Self::new("{mode: SIMPLE, credentialName: a}", &[])
    }

    fn address(&self) -> SocketAddr {
        self.gateway.address()
    }

    /// One request to `a.test` in one connection.
    fn ask(&self, dialect: &Dialect) -> io::Result<Message> {
        dialect.connect(self.address())?.exchange(get("a.test", "/"))
    }
}

fn a_test() -> Dialect {
    Dialect::asking("a.test")
}
