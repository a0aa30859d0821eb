//! Istio's DestinationRule: the subsets of a service.

use super::{
    export::Visibility,
    host::HostPattern,
    object::{Labels, Meta},
};
use std::sync::Arc;

#[derive(Clone, Debug, PartialEq)]
pub struct DestinationRule {
    pub meta: Meta,
    /// Short names are expanded.
    pub host: HostPattern,
    pub visibility: Visibility,
    pub subsets: Vec<Subset>,
    /// `workloadSelector.matchLabels`: the proxies the rule is for; `None` for all.
    pub workload_selector: Option<Labels>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subset {
    pub name: Arc<str>,
    /// Every pair must be on the endpoint's pod; empty: every endpoint.
    pub labels: Labels,
}
