//! Counts of TLS handshakes.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

/// Handshakes by the port the socket is bound to and how they ended: `ok`, or the reason of the failure.
#[derive(Clone, Debug, Default)]
pub(crate) struct Handshakes(Family<Labels, Counter>);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    port: u16,
    outcome: &'static str,
}

impl Handshakes {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("gateway_tls_handshakes", "TLS handshakes of clients, by how they ended", self.0.clone());
    }

    pub(crate) fn count(&self, port: u16, outcome: &'static str) {
        self.0.get_or_create(&Labels { port, outcome }).inc();
    }
}
