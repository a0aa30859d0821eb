//! Host names: their syntax, and the expansion of short ones.

use super::{IngestContext, labels::is_dns_label};
use crate::model::host::HostPattern;
use std::net::IpAddr;

/// `host` as the rest of the gateway knows it: a name without a dot means a service in `namespace`, the namespace of
/// the object that says it (`ResolveShortnameToFQDN` in istio/pilot/pkg/model/virtualservice.go).
pub(super) fn expand(host: &str, namespace: &str, context: &IngestContext) -> HostPattern {
    if host == "*" || host.contains('.') || is_ip(host) {
        HostPattern::new(host)
    } else {
        HostPattern::new(&format!("{host}.{namespace}.svc.{}", context.cluster_domain))
    }
}

pub(super) fn is_ip(host: &str) -> bool {
    host.parse::<IpAddr>().is_ok()
}

/// Whether `host` is a name or a pattern with `*` in its first label (`ValidateWildcardDomain` in
/// istio/pkg/config/validation/agent/validation.go).
///
/// # Errors
/// The reason.
pub(super) fn check_pattern(host: &str) -> Result<(), String> {
    check_length(host)?;
    let (first, rest) = host.split_once('.').map_or((host, None), |(first, rest)| (first, Some(rest)));
    if !is_wildcard_label(first) {
        return Err(format!("{host:?} is no host name: its part {first:?} is no DNS label"));
    }
    rest.map_or(Ok(()), |rest| check_labels(host, rest))
}

/// Whether `name` is a DNS name without wildcard (`ValidateFQDN`, same file).
///
/// # Errors
/// The reason.
pub(super) fn check_fqdn(name: &str) -> Result<(), String> {
    check_length(name)?;
    check_labels(name, name)
}

/// Whether a wildcard stands anywhere but alone or as a whole first label (`ValidatePartialWildCard`, same file).
pub(super) fn is_partial_wildcard(host: &str) -> bool {
    host.contains('*') && host.len() != 1 && !host.starts_with("*.")
}

fn check_length(host: &str) -> Result<(), String> {
    match host.len() {
        0 => Err("is empty: give a host name".to_owned()),
        1..=255 => Ok(()),
        length => Err(format!("has {length} characters, a host name at most 255")),
    }
}

/// `*`, a label, or a label after `*` or `*-`.
fn is_wildcard_label(label: &str) -> bool {
    let Some(rest) = label.strip_prefix('*') else { return is_dns_label(label) };
    rest.is_empty() || (label.len() <= 63 && is_dns_label(rest.strip_prefix('-').unwrap_or(rest)))
}

fn check_labels(host: &str, labels: &str) -> Result<(), String> {
    let top = labels.rsplit('.').next().unwrap_or(labels);
    if top.parse::<i64>().is_ok() {
        return Err(format!("{host:?} is no host name: its top-level domain {top:?} is a number"));
    }
    // One trailing dot makes a name absolute.
    let labels = labels.strip_suffix('.').unwrap_or(labels);
    match labels.split('.').find(|label| !is_dns_label(label)) {
        Some(label) => Err(format!("{host:?} is no host name: its part {label:?} is no DNS label")),
        None => Ok(()),
    }
}
