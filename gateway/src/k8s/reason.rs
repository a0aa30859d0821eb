//! Why a kind cannot be followed, in words that name the object, the reason and the remedy.

use super::{backoff::Failure, client::Connected};
use crate::model::object::Kind;
use kube::runtime::watcher;

/// The text for a failed request about `kind`; `error` is what the client says.
pub(super) fn describe(kind: Kind, failure: Failure, error: &str, connected: &Connected) -> String {
    let Connected { server, credentials, .. } = connected;
    match failure {
        Failure::Unreachable => {
            format!("cannot reach the API server {server} of {credentials}: {error}")
        }
        Failure::Unauthorized => format!(
            "the API server {server} does not accept the token or certificate of {credentials} ({error}); renew it, it \
             is read again"
        ),
        Failure::Forbidden => {
            let everywhere = if kind.is_namespaced() { " in every namespace" } else { "" };
            format!("{error}; allow get, list and watch of {}{everywhere}", resource_name(kind))
        }
        Failure::UnknownKind => missing(kind).to_owned(),
        Failure::Refused => format!("the API server {server} refuses: {error}"),
    }
}

/// What to do about a kind that the API server does not have.
pub(super) fn missing(kind: Kind) -> &'static str {
    match kind {
        Kind::Gateway | Kind::VirtualService | Kind::DestinationRule | Kind::ServiceEntry | Kind::WorkloadEntry => {
            "the API server does not know the kind in a version of ours (networking.istio.io/v1, v1beta1 or v1alpha3); \
             install Istio's CRDs"
        }
        Kind::EndpointSlice => {
            "the API server does not serve discovery.k8s.io/v1; Kubernetes 1.21 or newer is needed, with that API on"
        }
        Kind::Service | Kind::Pod | Kind::Node | Kind::Secret => {
            "the API server does not serve the core API v1; is it a Kubernetes API server?"
        }
    }
}

/// `virtualservices.networking.istio.io`, as RBAC rules write it in two parts.
fn resource_name(kind: Kind) -> String {
    let plural = match kind {
        Kind::Gateway => "gateways",
        Kind::VirtualService => "virtualservices",
        Kind::DestinationRule => "destinationrules",
        Kind::ServiceEntry => "serviceentries",
        Kind::WorkloadEntry => "workloadentries",
        Kind::Service => "services",
        Kind::EndpointSlice => "endpointslices",
        Kind::Pod => "pods",
        Kind::Node => "nodes",
        Kind::Secret => "secrets",
    };
    if kind.group().is_empty() { plural.to_owned() } else { format!("{plural}.{}", kind.group()) }
}

/// How a failed request counts.
pub(super) fn failure(error: &kube::Error) -> Failure {
    match error {
        kube::Error::Api(status) => match status.code {
            401 => Failure::Unauthorized,
            403 => Failure::Forbidden,
            404 => Failure::UnknownKind,
            _ => Failure::Refused,
        },
        // A token file that cannot be read, or a program that gives no token.
        kube::Error::Auth(_) => Failure::Unauthorized,
        _ => Failure::Unreachable,
    }
}

/// The same for an event of a watch.
pub(super) fn watch_failure(error: &watcher::Error) -> Failure {
    match request(error) {
        Some(error) => failure(error),
        None => Failure::Refused,
    }
}

/// Whether the API server no longer has the events since the last one seen (410 Gone).
pub(super) fn is_expired(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::WatchError(status) => status.code == 410,
        _ => matches!(request(error), Some(kube::Error::Api(status)) if status.code == 410),
    }
}

fn request(error: &watcher::Error) -> Option<&kube::Error> {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => Some(error),
        watcher::Error::WatchError(_) | watcher::Error::NoResourceVersion => None,
    }
}

/// What an event of a watch says.
pub(super) fn watch_text(error: &watcher::Error) -> String {
    match (error, request(error)) {
        (watcher::Error::WatchError(status), _) => status.message.clone(),
        (_, Some(error)) => text(error),
        _ => error.to_string(),
    }
}

/// The API server's own words, or the error with everything that caused it, which is where "connection refused" is.
pub(super) fn text(error: &kube::Error) -> String {
    if let kube::Error::Api(status) = error
        && !status.message.is_empty()
    {
        return status.message.clone();
    }
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}
