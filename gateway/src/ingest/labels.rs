//! Labels and selectors, and the syntax of names in Kubernetes.

use super::findings::{Findings, Path};
use crate::{istio::common::StringMap, model::object::Labels};

const LABEL_MAX_LENGTH: usize = 63;

/// Whether `name` is a DNS label (RFC 1123 §2.1; upper case allowed as in istio/pkg/config/labels/instance.go).
pub(super) fn is_dns_label(name: &str) -> bool {
    let bytes = name.as_bytes();
    bytes.len() <= LABEL_MAX_LENGTH
        && bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-')
}

/// Takes labels over as they are.
pub(super) fn labels(map: &StringMap) -> Labels {
    map.iter().map(|(key, value)| (key.as_str().into(), value.as_str().into())).collect()
}

/// Reports keys and values that are no Kubernetes labels (`Instance.Validate`, same file).
pub(super) fn check(map: &StringMap, path: &Path<'_>, findings: &mut Findings<'_>) {
    for (key, value) in map {
        if !is_label_key(key) {
            findings.invalid(&path.field(key), format!("{key:?} is no label key"));
        }
        if !value.is_empty() && !is_qualified_name(value) {
            findings.invalid(&path.field(key), format!("{value:?} is no label value"));
        }
    }
}

/// Reports what a workload selector must not hold (`validateWorkloadSelector` in validation.go).
pub(super) fn check_selector(map: &StringMap, path: &Path<'_>, findings: &mut Findings<'_>) {
    for (key, value) in map {
        if key.is_empty() {
            findings.invalid(path, "has an empty key, which selects nothing");
        }
        if key.contains('*') || value.contains('*') {
            findings.invalid(&path.field(key), "has a wildcard: a selector compares whole values");
        }
    }
}

fn is_label_key(key: &str) -> bool {
    match key.split_once('/') {
        Some((prefix, name)) => {
            prefix.len() <= 253
                && prefix.split('.').all(is_dns_label)
                && is_qualified_name(name)
                && name.len() <= LABEL_MAX_LENGTH
        }
        None => is_qualified_name(key) && key.len() <= LABEL_MAX_LENGTH,
    }
}

fn is_qualified_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}
