//! node-gateway: Istio's traffic management on every node, without sidecars.
//!
//! The crate has two halves. The pure half (`istio`, `model`, `ingest`, `routing`, `message`, `balance`, `pairing`) has no I/O,
//! no clock and no randomness; it builds alone with `--no-default-features`. The runtime half gives it sockets,
//! Kubernetes, files and a command line. See ARCHITECTURE.md.

#[cfg(test)]
extern crate self as gateway; // for the sources tests share with the fuzzer

pub mod analysis;
pub mod balance;
pub mod explain;
pub mod ingest;
pub mod istio;
pub mod message;
pub mod model;
pub mod pairing;
pub mod routing;

#[cfg(feature = "runtime")]
pub mod admin;
#[cfg(feature = "runtime")]
pub mod app;
#[cfg(feature = "runtime")]
pub mod cli;
#[cfg(feature = "runtime")]
pub mod control;
#[cfg(feature = "runtime")]
pub mod dns;
#[cfg(feature = "runtime")]
pub mod fastpath;
#[cfg(feature = "runtime")]
pub mod files;
#[cfg(feature = "runtime")]
pub mod k8s;
#[cfg(feature = "runtime")]
pub mod memory;
#[cfg(feature = "runtime")]
pub mod proxy;
#[cfg(feature = "runtime")]
pub mod telemetry;
#[cfg(feature = "runtime")]
pub mod tls;
#[cfg(feature = "runtime")]
pub mod upstream;
