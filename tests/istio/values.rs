//! What the numbers, times and shares of rules and policies become in both gateways, in the same words, so that a field whose
//! effect no single request shows is compared all the same.

mod envoy;
mod ours;

pub(crate) use envoy::{of_cluster, of_route};
pub(crate) use ours::{of_clusters, of_routes};

use std::collections::BTreeMap;

/// Those that are not Istio's default, by name.
pub(crate) type Values = BTreeMap<&'static str, String>;

/// Adds a value where there is one that is not `default`.
fn put(values: &mut Values, name: &'static str, value: Option<String>, default: &str) {
    if let Some(value) = value.filter(|value| value != default) {
        values.insert(name, value);
    }
}
