//! Serde mirrors of Istio's CRD specs, the whole schema of them. What is unknown is reported with its path.
//!
//! v1alpha3, v1beta1 and v1 of a kind share one schema
//! (kubernetes/customresourcedefinitions.gen.yaml in istio/api); comments here say only what the schema does not.
//! Nothing is interpreted: defaults and rules live in `ingest`, so every field may be missing. Must not know our model.

pub mod common;
pub mod decode;
pub mod destination_rule;
pub mod gateway;
pub mod http_route;
mod mapping;
pub mod service_entry;
pub mod virtual_service;

pub use decode::{Decoded, WrongType, decode};

#[cfg(test)]
pub(crate) mod tests;
