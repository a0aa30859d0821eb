//! What becomes of copies of requests.

use prometheus_client::{metrics::counter::Counter, registry::Registry};

/// Counts of copies; every copy that was drawn and has an endpoint is in one of them, but for `abandoned`, which has failed
/// too.
#[derive(Clone, Debug, Default)]
pub(crate) struct MirrorCounters {
    /// Sent, and answered.
    pub(crate) sent: Counter,
    /// Without an answer.
    pub(crate) failed: Counter,
    /// Of the failed, those whose body came faster than it could be sent.
    pub(crate) abandoned: Counter,
    /// Not sent at all: too many were on their way.
    pub(crate) refused: Counter,
}

impl MirrorCounters {
    pub(super) fn register(&self, registry: &mut Registry) {
        let all = [
            ("sent", "Copies of requests that were sent and answered", &self.sent),
            ("failed", "Copies of requests that got no answer", &self.failed),
            ("abandoned", "Copies given up because their endpoint was slower than the request itself", &self.abandoned),
            ("refused", "Copies left out because too many were on their way", &self.refused),
        ];
        for (name, help, counter) in all {
            registry.register(format!("gateway_mirrors_{name}"), help, counter.clone());
        }
    }
}
