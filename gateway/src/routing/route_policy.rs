//! What a route does besides choosing a destination.

use super::cluster::ClusterId;
use crate::model::{
    cors::Cors, fault::Fault, forward_policy::ForwardPolicy, retries::Retries, share::Share,
    virtual_service::Destination,
};
use std::{sync::LazyLock, time::Duration};

/// The policies of one route.
#[derive(Clone, Debug, PartialEq)]
pub struct RoutePolicy {
    /// `None`: no limit.
    pub timeout: Option<Duration>,
    /// `None`: Istio's default.
    pub retries: Option<Retries>,
    pub fault: Option<Fault>,
    pub cors: Option<Cors>,
    pub mirrors: Vec<RouteMirror>,
}

/// Where copies of a share of the requests go.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteMirror {
    pub cluster: ClusterId,
    pub share: Share,
}

static DEFAULT_RETRIES: LazyLock<Retries> = LazyLock::new(Retries::default);

impl RoutePolicy {
    /// `cluster` gives the id of a destination's cluster.
    pub(super) fn of(policy: &ForwardPolicy, mut cluster: impl FnMut(&Destination) -> ClusterId) -> Self {
        let mirrors = policy.mirrors.iter();
        let mirrors =
            mirrors.map(|mirror| RouteMirror { cluster: cluster(&mirror.destination), share: mirror.share }).collect();
        Self {
            timeout: policy.timeout,
            retries: policy.retries.clone(),
            fault: policy.fault.clone(),
            cors: policy.cors.clone(),
            mirrors,
        }
    }
}

/// The retries in force for a route with `policy`.
pub fn retries(policy: Option<&RoutePolicy>) -> &Retries {
    policy.and_then(|policy| policy.retries.as_ref()).unwrap_or(&DEFAULT_RETRIES)
}
