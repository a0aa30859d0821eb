//! What a cluster remembers of one of its endpoints from request to request and from snapshot to snapshot.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Shared by all workers. Every value is a hint that may be seen a moment late.
#[derive(Debug, Default)]
pub struct HostState {
    pub(super) ejected: AtomicBool,
    /// Some failure is counted: only then does a success change anything.
    pub(super) suspect: AtomicBool,
    /// When the first request after its coming was balanced, in milliseconds; 0 before that.
    pub(super) since: AtomicU64,
}

impl HostState {
    /// Whether outlier detection leaves the endpoint out.
    pub fn is_ejected(&self) -> bool {
        self.ejected.load(Ordering::Relaxed)
    }
}
