//! The gateway against a real API server: objects by `kubectl apply`, real requests, real outages.
//!
//! Every test has a network namespace, an etcd, an API server and a gateway of its own; they run one after the other.
#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod article;
mod credentials;
mod lab;
mod last_good;
mod malformed;
mod opt_out;
mod outage;
mod permissions;
mod scale;
mod startup;
mod tls;
mod versions;
mod weights;
