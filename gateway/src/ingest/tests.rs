//! What ingest makes of whole objects, and what it says about them.

mod article;
mod features;
mod findings;
mod isolation;
mod manifests;
mod meaning;
mod robustness;

use super::{IngestContext, ingest, manifest};
use crate::model::{problem::Problem, resource::Resource};

fn context() -> IngestContext {
    IngestContext { cluster_domain: "cluster.local".into() }
}

/// Everything in `text`, read.
#[track_caller]
fn read(text: &str) -> (Vec<Resource>, Vec<Problem>) {
    let parsed = manifest::parse(text, "test.yaml", "default");
    let mut problems = parsed.problems;
    let mut resources = Vec::new();
    for manifest in &parsed.manifests {
        let (resource, found) = ingest(manifest, &context());
        resources.extend(resource);
        problems.extend(found);
    }
    (resources, problems)
}
