//! From manifests to the model: Istio's defaulting, and every finding about an object, live here and nowhere else.

pub mod manifest;

use crate::model::{problem::Problem, resource::Resource};
use manifest::Manifest;
use std::sync::Arc;

/// What a reading of an object depends on besides the object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IngestContext {
    /// The domain of short names: `cluster.local`.
    pub cluster_domain: Arc<str>,
}

/// Reads one object. `None` when nothing in it can be served; the problems say why. Never panics, whatever the input.
pub fn ingest(_manifest: &Manifest, _context: &IngestContext) -> (Option<Resource>, Vec<Problem>) {
    (None, Vec::new())
}
