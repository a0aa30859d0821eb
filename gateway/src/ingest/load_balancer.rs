//! `loadBalancer` of a traffic policy: what the webhook has against it.

use super::{
    duration,
    findings::{Findings, Path},
    traffic_policy::check_range,
};
use crate::istio::destination_rule as istio;
use std::collections::BTreeSet;

/// Maglev's tables must be smaller than this (Envoy's limit).
pub(super) const MAGLEV_LIMIT: u64 = 5_000_011;
/// Above it Envoy refuses every cluster of the gateway (2²³).
pub(super) const RING_LIMIT: u64 = 8_388_608;

/// Reports what the webhook has against the settings (`validateLoadBalancer` in
/// istio/pkg/config/validation/validation.go); `ejects` says that there is outlier detection beside them.
pub(super) fn check(settings: &istio::LoadBalancer, ejects: bool, path: &Path<'_>, findings: &mut Findings<'_>) {
    if settings.simple.is_some() && settings.consistent_hash.is_some() {
        findings.schema(path, "has both simple and consistentHash: keep one");
    }
    if let Some(hash) = &settings.consistent_hash {
        check_hash(hash, &path.field("consistentHash"), findings);
    }
    if settings.locality_lb_setting.is_some() && settings.zone_aware_lb_setting.is_some() {
        findings.invalid(path, "has both localityLbSetting and zoneAwareLbSetting: keep one");
    }
    if let Some(locality) = &settings.locality_lb_setting {
        check_locality(locality, ejects, &path.field("localityLbSetting"), findings);
    }
    if let Some(zone) = &settings.zone_aware_lb_setting {
        let path = path.field("zoneAwareLbSetting");
        if let Some(label) = zone.failover_priority.iter().find(|label| is_topology_label(label)) {
            findings
                .invalid(&path.field("failoverPriority"), format!("{label} is handled by zone awareness: remove it"));
        }
        check_failover(&zone.failover, &zone.failover_priority, ejects, &path, findings);
    }
    duration::check(settings.warmup_duration_secs.as_deref(), &path.field("warmupDurationSecs"), findings);
    if let Some(warmup) = &settings.warmup {
        let path = path.field("warmup");
        if warmup.duration.is_none() {
            findings.invalid(&path.field("duration"), "is required");
        }
        duration::check(warmup.duration.as_deref(), &path.field("duration"), findings);
        if let Some(percent) = warmup.minimum_percent {
            check_range(percent, 0.0..=100.0, &path.field("minimumPercent"), findings);
        }
        if warmup.aggression.is_some_and(|aggression| aggression <= 0.0) {
            findings.invalid(&path.field("aggression"), "is not greater than 0");
        }
    }
}

fn check_hash(hash: &istio::ConsistentHash, path: &Path<'_>, findings: &mut Findings<'_>) {
    let keys = [
        hash.http_header_name.is_some(),
        hash.http_cookie.is_some(),
        hash.use_source_ip.is_some(),
        hash.http_query_parameter_name.is_some(),
    ];
    if keys.iter().filter(|given| **given).count() > 1 {
        findings.schema(path, "has more than one key to hash: keep one");
    }
    if let Some(cookie) = &hash.http_cookie {
        let path = path.field("httpCookie");
        if cookie.name.is_empty() {
            findings.invalid(&path.field("name"), "is required");
        }
        let mut names = BTreeSet::new();
        let attributes = path.field("attributes");
        for (index, attribute) in cookie.attributes.iter().enumerate() {
            if attribute.name.is_empty() {
                findings.invalid(&attributes.index(index).field("name"), "is required");
            } else if !names.insert(&attribute.name) {
                findings
                    .invalid(&attributes.index(index).field("name"), format!("{:?} is given twice", attribute.name));
            }
        }
    }
    if hash.ring_hash.is_some() && hash.maglev.is_some() {
        findings.schema(path, "has both ringHash and maglev: keep one");
    }
    if hash.minimum_ring_size != 0 {
        findings.suspicious(&path.field("minimumRingSize"), "is deprecated: use ringHash.minimumRingSize");
        if hash.ring_hash.is_some() || hash.maglev.is_some() {
            findings.invalid(&path.field("minimumRingSize"), "stands beside ringHash or maglev: remove it");
        }
    }
    let ring = hash.ring_hash.as_ref().map_or(hash.minimum_ring_size, |ring| ring.minimum_ring_size);
    if ring > RING_LIMIT {
        findings.invalid(path, format!("has a minimum ring size above {RING_LIMIT}, which Envoy refuses"));
    }
    if let Some(maglev) = &hash.maglev {
        let path = path.field("maglev").field("tableSize").to_string();
        let path = Path::Root(&path);
        match maglev.table_size {
            0 => findings.invalid(&path, "is required"),
            size if size >= MAGLEV_LIMIT => findings.invalid(&path, format!("{size} is not less than {MAGLEV_LIMIT}")),
            size if !is_prime(size) => findings.invalid(&path, format!("{size} is no prime number")),
            _ => {}
        }
    }
}

/// For numbers below [`MAGLEV_LIMIT`].
pub(super) fn is_prime(number: u64) -> bool {
    let mut factors = (2..).take_while(|factor| factor * factor <= number);
    number > 1 && factors.all(|factor| !number.is_multiple_of(factor))
}

/// `ValidateLocalityLbSetting` in agent/validation.go.
fn check_locality(locality: &istio::LocalityLbSetting, ejects: bool, path: &Path<'_>, findings: &mut Findings<'_>) {
    if !locality.distribute.is_empty() && !locality.failover.is_empty() {
        findings.invalid(path, "has both distribute and failover: keep one");
    }
    let priority = locality.failover_priority.iter().find(|label| is_topology_label(label));
    if let Some(label) = priority.filter(|_| !locality.failover.is_empty()) {
        findings.invalid(&path.field("failoverPriority"), format!("{label} stands beside failover: keep one"));
    }
    let distribute = path.field("distribute");
    for (index, entry) in locality.distribute.iter().enumerate() {
        let path = distribute.index(index);
        let to = path.field("to");
        for (to_locality, _) in entry.to.iter().filter(|(_, weight)| !(1..=100).contains(*weight)) {
            findings.invalid(&to.field(to_locality), "is no weight from 1 to 100");
        }
        let total: u64 = entry.to.values().map(|weight| u64::from(*weight)).sum();
        if total != 100 {
            findings.invalid(&to, format!("has a total weight of {total} instead of 100"));
        }
        check_localities(entry.to.keys(), &to, findings);
    }
    check_localities(locality.distribute.iter().map(|entry| &entry.from), &distribute, findings);
    check_failover(&locality.failover, &locality.failover_priority, ejects, path, findings);
}

fn check_failover(
    failover: &[istio::Failover],
    priority: &[String],
    ejects: bool,
    path: &Path<'_>,
    findings: &mut Findings<'_>,
) {
    let path = path.field("failover");
    if !ejects && (!failover.is_empty() || !priority.is_empty()) {
        findings.suspicious(&path, "needs outlierDetection beside it: without it nothing fails over");
    }
    for (index, entry) in failover.iter().enumerate() {
        let path = path.index(index);
        if entry.from == entry.to {
            findings.invalid(&path, "fails over to the same region");
        }
        if entry.from.contains(['/', '*']) || entry.to.contains(['/', '*']) {
            findings.invalid(&path, "names more than a region: no zones and no wildcards");
        }
    }
}

/// Localities `region/zone/subzone` of which none contains another (`validateLocalities`).
fn check_localities<'l>(localities: impl Iterator<Item = &'l String>, path: &Path<'_>, findings: &mut Findings<'_>) {
    let mut seen: Vec<&str> = Vec::new();
    for locality in localities {
        let stars = locality.matches('*').count();
        if stars > 1 || (stars == 1 && !locality.ends_with('*')) {
            findings.invalid(path, format!("{locality:?} has a wildcard elsewhere than at its end"));
        }
        if locality.splitn(3, '/').any(str::is_empty) {
            findings.invalid(path, format!("{locality:?} has an empty region, zone or subzone"));
        }
        let area = locality.trim_end_matches('*').trim_end_matches('/');
        if seen.iter().any(|other| contains(other, area) || contains(area, other)) {
            findings.invalid(path, format!("{locality:?} overlaps with another locality in the list"));
        }
        seen.push(area);
    }
}

/// Whether the locality `inner` is `outer` or lies in it; the empty one is the world.
fn contains(outer: &str, inner: &str) -> bool {
    outer.is_empty() || inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn is_topology_label(label: &str) -> bool {
    matches!(label, "topology.kubernetes.io/region" | "topology.kubernetes.io/zone" | "topology.istio.io/subzone")
}
