//! Which endpoints are preferred for where they are.

use super::locality::Locality;
use std::sync::Arc;

/// `localityLbSetting` and `zoneAwareLbSetting`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LocalityPolicy {
    /// It makes no difference where an endpoint is.
    Off,
    /// Requests from an area are shared out over others by weight; endpoints elsewhere get none. The first entry counts whose
    /// area the gateway is in.
    Distribute(Vec<Distribution>),
    /// The nearest endpoints first, then the next as those fail; only with outlier detection.
    Failover(Failover),
    /// The endpoints of the gateway's region first.
    Regions(Failover),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Distribution {
    pub from: Locality,
    /// With their weights.
    pub to: Vec<(Locality, u32)>,
}

/// In which order endpoints come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failover {
    /// Endpoints that share more of these labels with the gateway come first; a label that differs ends the comparison.
    pub labels: Vec<FailoverLabel>,
    /// From a region, the region that comes next.
    pub regions: Vec<(Arc<str>, Arc<str>)>,
    /// Whether it needs no outlier detection.
    pub is_forced: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailoverLabel {
    pub name: Arc<str>,
    /// What the endpoint's is compared with in place of the gateway's own.
    pub value: Option<Arc<str>>,
}

/// `trafficDistribution` of a Service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TrafficDistribution {
    #[default]
    Any,
    SameZone,
    SameNode,
}

impl TrafficDistribution {
    /// The value named `text`, in any case; `None` for one that is unknown.
    pub fn named(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "preferclose" | "prefersamezone" => Some(Self::SameZone),
            "prefersamenode" => Some(Self::SameNode),
            _ => None,
        }
    }

    /// What it comes to (`GetEffectiveLbSetting` in istio's pilot/pkg/networking/core/loadbalancer/loadbalancer.go).
    pub fn policy(self) -> Option<LocalityPolicy> {
        const LABELS: [&str; 5] = [
            "topology.istio.io/network",
            "topology.kubernetes.io/region",
            "topology.kubernetes.io/zone",
            "topology.istio.io/subzone",
            "kubernetes.io/hostname",
        ];
        let count = match self {
            Self::Any => return None,
            Self::SameZone => 3,
            Self::SameNode => 5,
        };
        let labels = LABELS.iter().take(count).map(|name| FailoverLabel { name: (*name).into(), value: None });
        Some(LocalityPolicy::Failover(Failover { labels: labels.collect(), regions: Vec::new(), is_forced: true }))
    }
}
