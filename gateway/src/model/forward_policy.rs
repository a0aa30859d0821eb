//! What a rule that forwards does besides choosing a destination.

use super::{cors::Cors, fault::Fault, mirror::Mirror, retries::Retries};
use std::time::Duration;

/// The policies of one `http[]` rule.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ForwardPolicy {
    /// From the end of the request to the end of its answer; `None` for no limit.
    pub timeout: Option<Duration>,
    /// `None`: Istio's default.
    pub retries: Option<Retries>,
    pub fault: Option<Fault>,
    pub cors: Option<Cors>,
    pub mirrors: Vec<Mirror>,
}
