//! Istio's WorkloadEntry: a workload that is no pod, for the Services and ServiceEntries that select it.

use super::{
    findings::{Findings, Path},
    manifest::Manifest,
    service_entry::read_endpoint,
};
use crate::{
    istio::service_entry as istio,
    model::{
        locality::Locality,
        service_entry::{EntryEndpoint, WorkloadEntry},
    },
};
use std::sync::Arc;

/// Reads the object (`convertWorkloadEntry` in istio/pilot/pkg/serviceregistry/serviceentry/controller.go). Of a workload whose
/// address is a name only ServiceEntries with resolution DNS make anything (`DNSServiceEntryOnly` there).
pub(super) fn ingest(manifest: &Manifest, findings: &mut Findings<'_>) -> Option<WorkloadEntry> {
    let spec: istio::WorkloadEntry = findings.spec()?;
    let mark = findings.mark();
    let endpoint = read_endpoint(None, &spec, &Path::SPEC, findings)?;
    if findings.failed_since(mark) {
        return None;
    }
    let mut labels = endpoint.labels;
    labels.extend(manifest.labels.iter().map(|(name, value)| (Arc::clone(name), Arc::clone(value))));
    let of_labels = || Locality::of_workload(&labels).unwrap_or_default();
    let locality = if spec.locality.is_empty() { of_labels() } else { endpoint.locality };
    Some(WorkloadEntry { meta: manifest.meta.clone(), endpoint: EntryEndpoint { labels, locality, ..endpoint } })
}
