//! Kubernetes Node: where its pods are.

use super::manifest::Manifest;
use crate::model::{locality::Locality, service::Node};

/// Reads a Node, of which only the labels count.
pub(super) fn read(manifest: &Manifest) -> Node {
    Node { meta: manifest.meta.clone(), locality: Locality::of_node(&manifest.labels) }
}
