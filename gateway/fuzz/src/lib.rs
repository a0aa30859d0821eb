//! What the fuzz targets share: worlds, and the comparison of the index with the oracle.

pub mod worlds;

use gateway::routing::{
    linear,
    lookup::{Found, RequestHead},
    snapshot::Snapshot,
};

/// Checks on every listener of `snapshot` that the index finds the route which the linear oracle finds.
///
/// # Panics
/// When they differ: that is the finding.
pub fn check_against_oracle(snapshot: &Snapshot, request: &RequestHead<'_>) {
    for listener in snapshot.listeners() {
        let (indexed, naive) = (snapshot.lookup(listener, request), linear::lookup(listener, request));
        assert_eq!(identity(&indexed), identity(&naive), "{request:?} on {listener:?}");
    }
}

/// What of an answer must be the same: the very route or virtual host, not one that looks like it.
fn identity(found: &Found<'_>) -> (&'static str, usize) {
    match found {
        Found::NoVirtualHost => ("no virtual host", 0),
        Found::RequireTls { host } => ("require TLS", std::ptr::from_ref(*host).addr()),
        Found::NoRoute { host } => ("no route", std::ptr::from_ref(*host).addr()),
        Found::Route { route, .. } => ("route", std::sync::Arc::as_ptr(route).addr()),
    }
}
