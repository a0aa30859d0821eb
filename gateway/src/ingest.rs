//! From manifests to the model: Istio's defaulting, and every finding about an object, live here and nowhere else.
//!
//! One file a kind, plus the pieces they share. The rules are those of Istio's admission webhook
//! (istio/pkg/config/validation/validation.go) and CRD schema; what they refuse is dropped piece by piece: a bad match
//! costs its match, a bad rule its rule, and only an object that breaks its schema's types is lost as a whole.

pub mod delegation;
pub mod manifest;

pub(crate) mod base64;
mod cors;
mod destination;
mod destination_rule;
mod documents;
mod duration;
mod endpoint_slice;
mod export_to;
mod fault;
mod findings;
mod gateway;
mod gateway_names;
mod header_template;
mod headers;
mod hosts;
mod http_action;
mod http_match;
mod http_policy;
mod http_rule;
mod l4_routes;
mod labels;
mod load_balancer;
mod mirrors;
mod nulls;
mod pod;
mod policy_blocks;
mod protocol;
mod regex_syntax;
mod retries;
mod server_tls;
mod service;
mod service_entry;
mod string_match;
#[cfg(test)]
mod tests;
mod timestamp;
mod tls_origination;
mod tls_termination;
mod traffic_policy;
mod unreachable;
mod virtual_service;

use crate::model::{object::Kind, problem::Problem, resource::Resource};
use delegation::Delegates;
use findings::Findings;
use manifest::Manifest;
use std::sync::Arc;

/// What a reading of an object depends on besides the object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IngestContext {
    /// The domain of short names: `cluster.local`.
    pub cluster_domain: Arc<str>,
}

/// Reads every object, each VirtualService with those it delegates to.
pub fn ingest_all<'m>(
    manifests: impl IntoIterator<Item = &'m Manifest> + Clone,
    context: &IngestContext,
) -> Vec<(Option<Resource>, Vec<Problem>)> {
    let mut delegates = Delegates::default();
    for manifest in manifests.clone() {
        delegates.put(manifest, context);
    }
    manifests.into_iter().map(|manifest| ingest_delegating(manifest, context, &delegates)).collect()
}

/// Reads one object that needs no other. `None` when nothing in it can be served; the problems say why. Never panics,
/// whatever the input.
pub fn ingest(manifest: &Manifest, context: &IngestContext) -> (Option<Resource>, Vec<Problem>) {
    ingest_delegating(manifest, context, &Delegates::default())
}

/// The same, where a VirtualService may delegate to some of `delegates`.
pub fn ingest_delegating(
    manifest: &Manifest,
    context: &IngestContext,
    delegates: &Delegates,
) -> (Option<Resource>, Vec<Problem>) {
    let mut findings = Findings::new(manifest);
    let resource = match manifest.kind() {
        Kind::Gateway => gateway::ingest(manifest, &mut findings).map(Resource::Gateway),
        Kind::VirtualService => {
            virtual_service::ingest(manifest, context, delegates, &mut findings).map(Resource::VirtualService)
        }
        Kind::DestinationRule => {
            destination_rule::ingest(manifest, context, &mut findings).map(Resource::DestinationRule)
        }
        Kind::ServiceEntry => service_entry::ingest(manifest, &mut findings).map(Resource::ServiceEntry),
        Kind::Service => service::ingest(manifest, &mut findings).map(Resource::Service),
        Kind::EndpointSlice => endpoint_slice::ingest(manifest, &mut findings).map(Resource::EndpointSlice),
        Kind::Pod => pod::ingest(manifest, &mut findings).map(Resource::Pod),
        // `tls` reads them: what is in them must not come to lie among the things that are shown.
        Kind::Secret => None,
    };
    (resource.map(Resource::compact), findings.into_problems())
}
