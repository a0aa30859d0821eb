//! Istio's DestinationRule: the subsets of a service, and the policy of each.

use super::{
    export::Visibility,
    host::HostPattern,
    object::{Labels, Meta},
    traffic_policy::TrafficPolicy,
};
use std::{collections::BTreeSet, sync::Arc};

#[derive(Clone, Debug, PartialEq)]
pub struct DestinationRule {
    pub meta: Meta,
    /// Short names are expanded.
    pub host: HostPattern,
    pub visibility: Visibility,
    /// `exportTo` as it was written: rules for one host are one rule where it is the same.
    pub exported_to: BTreeSet<Arc<str>>,
    pub traffic_policy: Option<Box<TrafficPolicy>>,
    pub subsets: Vec<Subset>,
    /// `workloadSelector.matchLabels`: the proxies the rule is for; `None` for all.
    pub workload_selector: Option<Labels>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Subset {
    pub name: Arc<str>,
    /// Every pair must be on the endpoint's pod; empty: every endpoint.
    pub labels: Labels,
    pub traffic_policy: Option<Box<TrafficPolicy>>,
}
