//! Copies of requests.

use super::{share::Share, virtual_service::Destination};

/// One entry of `mirrors`, or `mirror`: where copies of a share of the requests go.
#[derive(Clone, Debug, PartialEq)]
pub struct Mirror {
    /// Without weight and header operations.
    pub destination: Destination,
    pub share: Share,
}
