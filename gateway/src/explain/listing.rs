//! A snapshot as lists: listeners, routes in matching order, clusters, endpoints. The JSON of `gateway config` and of the
//! admin server's `/config`.

use super::{policy_facts, trace::conditions};
use crate::balance::outliers::Outliers;
use crate::routing::{
    cluster::{Cluster, ClusterState},
    route::RouteAction,
    snapshot::{Listener, Snapshot, VirtualHost},
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// All four lists of one generation.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Lists {
    pub generation: u64,
    pub listeners: Vec<ListenerRow>,
    pub routes: Vec<RouteRow>,
    pub clusters: Vec<ClusterRow>,
    pub endpoints: Vec<EndpointRow>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ListenerRow {
    /// `*` for every address.
    pub address: String,
    pub port: u16,
    pub target_port: u16,
    pub protocol: String,
    pub gateways: Vec<String>,
    pub virtual_hosts: Vec<String>,
    /// Of handshakes that are for it; empty for all, absent without TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_names: Option<Vec<String>>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RouteRow {
    pub virtual_host: String,
    pub port: u16,
    #[serde(rename = "match")]
    pub match_text: String,
    /// `forward`, `redirect`, `direct_response`, `tcp_forward`
    pub action: String,
    pub destinations: Vec<DestinationRow>,
    /// What else is done: `mirrors`, `faults`, `CORS`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<String>,
    /// Some part of the request is hashed to find its endpoint.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hash_policy: bool,
    pub object: String,
    /// `http`, `tls` or `tcp`: where in the object's spec. Left out in JSON for `http`.
    #[serde(default = "http", skip_serializing_if = "super::is_http")]
    pub section: String,
    pub rule: usize,
    #[serde(rename = "match_index")]
    pub entry: usize,
    pub name: String,
    pub source: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DestinationRow {
    pub cluster: String,
    pub weight: u32,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ClusterRow {
    pub name: String,
    pub namespace: String,
    /// `known`, or why it does not exist: `unknown host` …
    pub state: String,
    pub endpoints: usize,
    /// What a DestinationRule asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyRow>,
}

/// A cluster's policy and what has come of it so far, in this process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PolicyRow {
    /// Envoy's `lb_policy`.
    pub lb: String,
    pub connections: u32,
    pub requests: u32,
    pub pending_requests: u32,
    /// Requests refused because the cluster was as busy as it may be.
    pub overflow: u64,
    /// Endpoints that outlier detection leaves out now; null without it.
    pub ejected: Option<u32>,
    pub ejections: Option<u64>,
}

impl PolicyRow {
    fn of(cluster: &Cluster) -> Option<Self> {
        let balancer = &cluster.traffic.as_deref()?.balancer;
        let limits = balancer.memory().limits.counts();
        let outliers = balancer.memory().outliers.as_ref().map(Outliers::counts);
        Some(Self {
            lb: super::cluster_policy::name(&balancer.settings().algorithm).to_owned(),
            connections: limits.connections,
            requests: limits.requests,
            pending_requests: limits.pending,
            overflow: limits.request_overflow + limits.pending_overflow + limits.retry_overflow,
            ejected: outliers.map(|counts| counts.ejected),
            ejections: outliers.map(|counts| counts.ejections),
        })
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EndpointRow {
    pub address: String,
    pub cluster: String,
    pub pod: Option<String>,
    pub node: Option<String>,
    pub zone: Option<String>,
    pub active_requests: u32,
    /// Of how many levels of endpoints, nearer ones, this one comes behind.
    #[serde(default, skip_serializing_if = "is_first")]
    pub level: usize,
    /// Left out by outlier detection.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ejected: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_first(level: &usize) -> bool {
    *level == 0
}

impl Lists {
    pub fn of(snapshot: &Snapshot) -> Self {
        let mut lists = Self { generation: snapshot.generation, ..Self::default() };
        for listener in snapshot.listeners() {
            let mut hosts: Vec<&Arc<VirtualHost>> = listener.virtual_hosts().iter().collect();
            hosts.sort_by_key(|host| &host.domain);
            lists.listeners.push(ListenerRow {
                address: listener.key.address.map_or_else(|| "*".to_owned(), |address| address.to_string()),
                port: listener.server_port,
                target_port: listener.key.port,
                protocol: listener.protocol.name().to_owned(),
                gateways: listener.gateways.iter().map(|id| format!("{}/{}", id.namespace, id.name)).collect(),
                virtual_hosts: hosts.iter().map(|host| host.name.to_string()).collect(),
                server_names: listener.tls.as_ref().map(|tls| tls.names.iter().map(ToString::to_string).collect()),
            });
            lists.routes.extend(hosts.into_iter().flat_map(|host| routes(snapshot, listener, host)));
        }
        for stream in snapshot.streams() {
            lists.listeners.push(ListenerRow::of_stream(stream));
            lists.routes.push(RouteRow::of_stream(snapshot, stream));
        }
        let mut used: Vec<_> = snapshot.clusters().iter().filter(|cluster| !cluster.label.is_empty()).collect();
        used.sort_by_key(|cluster| &cluster.name);
        for cluster in used {
            let endpoints = cluster.endpoints();
            lists.clusters.push(ClusterRow {
                name: cluster.label.to_string(),
                namespace: cluster.namespace.to_string(),
                state: match &cluster.state {
                    ClusterState::Known(_) => "known".to_owned(),
                    ClusterState::Unknown(why) => format!("unknown {}", super::facts::unknown_name(*why)),
                },
                endpoints: endpoints.len(),
                policy: PolicyRow::of(cluster),
            });
            let balancer = cluster.traffic.as_deref().map(|traffic| &traffic.balancer);
            lists.endpoints.extend(endpoints.iter().enumerate().map(|(index, endpoint)| EndpointRow {
                address: endpoint.address.to_string(),
                cluster: cluster.label.to_string(),
                pod: endpoint.pod.as_deref().map(str::to_owned),
                node: endpoint.node.as_deref().map(str::to_owned),
                zone: endpoint.zone.as_deref().map(str::to_owned),
                active_requests: endpoint.load.get(),
                level: balancer.map_or(0, |balancer| balancer.level(index)),
                ejected: balancer.is_some_and(|balancer| balancer.is_ejected(index)),
            }));
        }
        lists
    }
}

fn routes(snapshot: &Snapshot, listener: &Listener, host: &VirtualHost) -> Vec<RouteRow> {
    let row = |route: &Arc<crate::routing::route::Route>| {
        let faults = || route.fault.iter().map(|_| "faults".to_owned()).collect();
        let (action, destinations, also) = match &route.action {
            RouteAction::Redirect(_) => ("redirect", Vec::new(), faults()),
            RouteAction::DirectResponse(_) => ("direct_response", Vec::new(), faults()),
            RouteAction::Forward(forward) => {
                let destination = |d: &crate::routing::route::RouteDestination| DestinationRow {
                    cluster: snapshot.cluster(d.cluster).label.to_string(),
                    weight: d.weight,
                };
                let also = policy_facts::names(forward.policy.as_deref());
                ("forward", forward.destinations.iter().map(destination).collect(), also)
            }
        };
        RouteRow {
            virtual_host: host.name.to_string(),
            port: listener.server_port,
            match_text: conditions(route),
            action: action.to_owned(),
            destinations,
            also,
            hash_policy: hashes(snapshot, route),
            object: route.origin.object.to_string(),
            section: http(),
            rule: route.origin.rule,
            entry: route.origin.entry,
            name: route.origin.name.to_string(),
            source: route.origin.source.as_deref().map(str::to_owned),
        }
    };
    host.routes.iter().map(row).collect()
}

fn http() -> String {
    "http".to_owned()
}

fn hashes(snapshot: &Snapshot, route: &crate::routing::route::Route) -> bool {
    let RouteAction::Forward(forward) = &route.action else { return false };
    forward.destinations.iter().any(|destination| snapshot.cluster(destination.cluster).hash_key.is_some())
}
