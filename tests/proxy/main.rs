//! The HTTP data plane: real sockets on both sides, the whole way from YAML to bytes between them.

#![expect(clippy::expect_used, reason = "a test that cannot go on fails")]

mod admin;
mod agreement;
mod announcements;
mod backend_tls;
mod bodies;
mod complaints;
mod conformance;
mod cors;
mod drain;
mod failures;
mod faults;
mod first_requests;
mod forwarding;
mod framing;
mod gateway;
mod heads;
mod http2;
mod limits;
mod local_replies;
mod localities;
mod mirrors;
mod names;
mod names_on_demand;
mod policies;
mod pooling;
mod proxy_protocol;
mod rest;
mod retries;
mod retry_storm;
mod rollout;
mod streams;
mod timeouts;
mod tls;
mod turns;
mod upgrades;
