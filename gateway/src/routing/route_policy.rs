//! What a route does besides choosing a destination.

use crate::model::{forward_policy::ForwardPolicy, retries::Retries};
use std::{sync::LazyLock, time::Duration};

/// The policies of one route.
#[derive(Clone, Debug, PartialEq)]
pub struct RoutePolicy {
    /// `None`: no limit.
    pub timeout: Option<Duration>,
    /// `None`: Istio's default.
    pub retries: Option<Retries>,
}

static DEFAULT_RETRIES: LazyLock<Retries> = LazyLock::new(Retries::default);

impl RoutePolicy {
    pub(super) fn of(policy: &ForwardPolicy) -> Self {
        Self { timeout: policy.timeout, retries: policy.retries.clone() }
    }
}

/// The retries in force for a route with `policy`.
pub fn retries(policy: Option<&RoutePolicy>) -> &Retries {
    policy.and_then(|policy| policy.retries.as_ref()).unwrap_or(&DEFAULT_RETRIES)
}
