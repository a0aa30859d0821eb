//! A real API server: kube-apiserver and kubectl built from Go modules, etcd from Debian. No kubelet and no controllers:
//! the tests make the EndpointSlices that a controller would.

mod build;
mod cluster;
mod objects;

pub use build::{Programs, products, programs};
pub use cluster::{Cluster, GATEWAY_TOKEN, SERVER, Schema};
pub use objects::Objects;
