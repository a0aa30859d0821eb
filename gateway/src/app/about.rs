//! Which gateway this is and how its source fares: what `/config` and the metric `gateway_info` show of it.

use crate::control::status::{KindStatus, Status};
use prometheus_client::metrics::info::Info;
use serde_json::{Value, json};
use std::time::SystemTime;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// `gateway_info{version="…",node="…"}`.
pub(super) fn metric(node: &str) -> Info<Vec<(&'static str, String)>> {
    Info::new(vec![("version", VERSION.to_owned()), ("node", node.to_owned())])
}

/// The field `gateway` of `/config`. Ages are in seconds, and null as long as there is nothing that could be old.
pub(super) fn describe(node: &str, status: &Status) -> Value {
    let age = |since: Option<SystemTime>| {
        since.map(|since| SystemTime::now().duration_since(since).unwrap_or_default().as_secs())
    };
    json!({
        "version": VERSION,
        "node": node,
        "config_age_seconds": age(status.published),
        "snapshot_age_seconds": age(status.saved),
        "restored": status.restored(),
        "kinds": status.kinds.iter().map(kind).collect::<Vec<_>>(),
    })
}

fn kind(kind: &KindStatus) -> Value {
    json!({
        "kind": kind.kind.name(),
        "state": kind.state.name(),
        "reason": kind.state.trouble(),
        "listed": kind.listed,
        "restored": kind.restored,
        "objects": kind.objects,
        "rejected": kind.rejected,
        "held_back": kind.held_back,
    })
}
