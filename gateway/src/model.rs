//! The gateway's own vocabulary. It knows neither Istio's wire format nor Kubernetes nor serde; `ingest` builds these
//! types and their constructors hold the invariants.

pub mod compact;
pub mod cors;
pub mod destination_rule;
pub mod export;
pub mod fault;
pub mod forward_policy;
pub mod gateway;
pub mod headers;
pub mod host;
pub mod l4_routes;
pub mod mirror;
pub mod object;
pub mod origination;
pub mod problem;
pub mod resource;
pub mod retries;
pub mod service;
pub mod service_entry;
pub mod share;
pub mod string_match;
pub mod tls;
pub mod traffic_policy;
pub mod virtual_service;
