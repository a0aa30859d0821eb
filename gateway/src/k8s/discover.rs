//! Which version of a kind the API server has.

use super::{backoff::Failure, reason};
use crate::model::object::Kind;
use kube::{
    Client,
    api::{ApiResource, GroupVersionKind},
    discovery,
    error::DiscoveryError,
};
use std::time::Duration;

/// All versions of Istio's kinds share one schema; the newest is asked for first.
const ISTIO_VERSIONS: [&str; 3] = ["v1", "v1beta1", "v1alpha3"];

/// Discovery is a small answer; a server that takes longer is as good as gone.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why a kind cannot be watched now.
#[derive(Debug, thiserror::Error)]
pub(super) enum Undiscovered {
    #[error("the API server does not know the kind")]
    UnknownKind,
    #[error("the API server did not answer within {} s", PATIENCE.as_secs())]
    Silent,
    #[error("{}", reason::text(.0))]
    Failed(Box<kube::Error>),
}

impl Undiscovered {
    pub(super) fn failure(&self) -> Failure {
        match self {
            Self::UnknownKind => Failure::UnknownKind,
            Self::Silent => Failure::Unreachable,
            Self::Failed(error) => reason::failure(error),
        }
    }
}

/// The resource to watch for `kind`.
///
/// # Errors
/// When the kind is not installed, or the API server does not say.
pub(super) async fn discover(client: &Client, kind: Kind) -> Result<ApiResource, Undiscovered> {
    if !kind.is_istio() {
        return Ok(ApiResource::from_gvk(&GroupVersionKind::gvk(kind.group(), "v1", kind.name())));
    }
    for version in ISTIO_VERSIONS {
        let wanted = GroupVersionKind::gvk(kind.group(), version, kind.name());
        match tokio::time::timeout(PATIENCE, discovery::pinned_kind(client, &wanted)).await {
            Ok(Ok((resource, _))) => return Ok(resource),
            Ok(Err(error)) if is_missing(&error) => {}
            Ok(Err(error)) => return Err(Undiscovered::Failed(Box::new(error))),
            Err(_) => return Err(Undiscovered::Silent),
        }
    }
    Err(Undiscovered::UnknownKind)
}

fn is_missing(error: &kube::Error) -> bool {
    match error {
        kube::Error::Api(status) => status.code == 404,
        kube::Error::Discovery(error) => matches!(
            error,
            DiscoveryError::MissingKind(_) | DiscoveryError::MissingApiGroup(_) | DiscoveryError::MissingResource(_)
        ),
        _ => false,
    }
}
