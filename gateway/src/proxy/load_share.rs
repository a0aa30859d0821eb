//! One request's share of an endpoint: its load, its place among the cluster's requests, and what is reported of it.

use crate::{
    balance::{
        limits::{Limited, Permit},
        outliers::Observed,
    },
    routing::{
        cluster::{Cluster, Endpoint},
        traffic::Traffic,
    },
    upstream::lease::Lease,
};
use http::{HeaderMap, StatusCode};
use std::{
    cell::OnceCell,
    net::SocketAddr,
    sync::{Arc, LazyLock},
    time::Instant,
};

/// An endpoint that was chosen for a request.
#[derive(Debug)]
pub(crate) struct Chosen {
    pub(super) endpoint: Arc<Endpoint>,
    /// The cluster and the endpoint's index in it, where a policy wants to know what becomes of the request.
    pub(super) member: Option<(Arc<Cluster>, usize)>,
}

/// Ends with the value.
#[derive(Debug)]
pub(crate) struct LoadShare {
    chosen: Chosen,
    request: OnceCell<Permit>,
    lease: OnceCell<Box<Lease>>,
}

impl LoadShare {
    pub(crate) fn begin(chosen: Chosen) -> Self {
        chosen.endpoint.load.begin();
        Self { chosen, request: OnceCell::new(), lease: OnceCell::new() }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.chosen.endpoint.address
    }

    /// The name of the cluster, if it has a policy.
    pub(super) fn cluster_label(&self) -> Option<&str> {
        self.chosen.member.as_ref().map(|(cluster, _)| &*cluster.label)
    }

    /// The policy of the cluster, if it has one.
    pub(super) fn traffic(&self) -> Option<&Traffic> {
        self.chosen.member.as_ref()?.0.traffic.as_deref()
    }

    /// The cluster, if it has a policy.
    pub(super) fn cluster(&self) -> Option<Arc<Cluster>> {
        self.chosen.member.as_ref().map(|(cluster, _)| Arc::clone(cluster))
    }

    /// The request counts as one of the cluster's until the share ends.
    pub(super) fn admit(&self, request: Permit) {
        let _first = self.request.set(request).is_ok();
    }

    /// A place among the cluster's retries, where they are counted; `None` when all are taken.
    pub(super) fn retry(&self) -> Option<Option<Permit>> {
        let Some(traffic) = self.traffic() else { return Some(None) };
        let most = traffic.connections.as_ref().and_then(|settings| settings.max_retries);
        match most {
            None => Some(None),
            most => traffic.balancer.memory().limits.permit(Limited::Retry, most).map(Some),
        }
    }

    /// The connection of this lease is in use until the share ends.
    pub(super) fn keep(&self, lease: Option<Box<Lease>>) {
        if let Some(lease) = lease {
            let _first = self.lease.set(lease).is_ok();
        }
    }

    /// Tells outlier detection, where there is one, what became of the request.
    pub(super) fn observe(&self, observed: Observed) {
        if let Some((cluster, index)) = &self.chosen.member
            && let Some(traffic) = &cluster.traffic
        {
            traffic.balancer.observe(*index, observed, now());
        }
    }

    /// The same of an answer: its status, or what the status of gRPC in its head would be in HTTP
    /// (`Grpc::Utility::grpcToHttpStatus` in Envoy's source/common/grpc/status.cc).
    pub(super) fn observe_answer(&self, status: StatusCode, headers: &HeaderMap) {
        if self.chosen.member.is_none() {
            return;
        }
        let grpc = headers.get("grpc-status").and_then(|value| value.to_str().ok());
        self.observe(Observed::Status(grpc.map_or(status.as_u16(), http_status)));
    }
}

fn http_status(grpc: &str) -> u16 {
    match grpc {
        "0" => 200,
        "1" => 499,
        "3" | "9" | "11" => 400,
        "4" => 504,
        "5" => 404,
        "6" | "10" => 409,
        "7" => 403,
        "8" => 429,
        "12" => 501,
        "14" => 503,
        "16" => 401,
        _ => 500,
    }
}

impl Drop for LoadShare {
    fn drop(&mut self) {
        self.chosen.endpoint.load.end();
    }
}

/// Milliseconds since the first request that asked: one clock for all workers, which never shows 0.
pub(crate) fn now() -> u64 {
    static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
    u64::try_from(BEGAN.elapsed().as_millis()).map_or(u64::MAX, |passed| passed + 1)
}
