//! `localityLbSetting`, `zoneAwareLbSetting` and `trafficDistribution` as the gateway serves them
//! (`GetEffectiveLbSetting` in istio's pilot/pkg/networking/core/loadbalancer/loadbalancer.go). What the webhook refuses has
//! been reported by `load_balancer`.

use super::manifest::Manifest;
use crate::{
    istio::destination_rule as istio,
    model::{
        locality::Locality,
        locality_policy::{Distribution, Failover, FailoverLabel, LocalityPolicy, TrafficDistribution},
    },
};

/// `None` when neither is there.
pub(super) fn read(settings: &istio::LoadBalancer) -> Option<LocalityPolicy> {
    if let Some(zone) = &settings.zone_aware_lb_setting {
        if zone.enabled == Some(false) {
            return Some(LocalityPolicy::Off);
        }
        // `minClusterSize` is Envoy's, for gateways that know all of their kind, which Istio's do not by default
        // (`ENABLE_SELF_DISCOVERY`).
        return Some(LocalityPolicy::Regions(failover(&zone.failover, &zone.failover_priority, true)));
    }
    let locality = settings.locality_lb_setting.as_ref()?;
    if locality.enabled == Some(false) {
        return Some(LocalityPolicy::Off);
    }
    if locality.distribute.is_empty() {
        return Some(LocalityPolicy::Failover(failover(&locality.failover, &locality.failover_priority, false)));
    }
    let distributions = locality.distribute.iter().map(|entry| Distribution {
        from: Locality::parse(&entry.from),
        to: entry.to.iter().map(|(area, weight)| (Locality::parse(area), (*weight).min(100))).collect(),
    });
    Some(LocalityPolicy::Distribute(distributions.collect()))
}

/// `name=value` compares with this value in place of the gateway's own; more than one `=` is none (`priorityLabelOverrides`).
fn failover(regions: &[istio::Failover], labels: &[String], is_forced: bool) -> Failover {
    let label = |text: &String| {
        let (name, value) = text.split_once('=').map_or((text.as_str(), None), |(name, value)| (name, Some(value)));
        let value = value.filter(|value| !value.contains('='));
        FailoverLabel { name: name.into(), value: value.map(Into::into) }
    };
    Failover {
        labels: labels.iter().map(label).collect(),
        regions: regions.iter().map(|entry| (entry.from.as_str().into(), entry.to.as_str().into())).collect(),
        is_forced,
    }
}

/// The spec's, where it is one of the known; else the annotation's (`GetTrafficDistribution` in
/// istio/pilot/pkg/model/service.go, without the annotation of the namespace).
pub(super) fn distribution(spec: Option<&str>, manifest: &Manifest) -> TrafficDistribution {
    // The field keeps to its case, the annotation does not.
    let spec = spec.filter(|spec| spec.starts_with("Prefer")).and_then(TrafficDistribution::named);
    let annotation = manifest.annotations.get("networking.istio.io/traffic-distribution");
    spec.or_else(|| annotation.and_then(|text| TrafficDistribution::named(text))).unwrap_or_default()
}
