//! Connections that are passed on unread: what `explain` says of one, and the rows of the lists.

use super::{
    Explanation, Failure, ListenerFacts, Outcome, Question,
    cluster_policy::ClusterPolicy,
    facts::{self, DestinationFacts, RouteFacts},
    listing::{DestinationRow, ListenerRow, RouteRow},
};
use crate::routing::{
    snapshot::Snapshot,
    streams::{Carries, Stream},
};

impl Explanation {
    /// What happens to a connection of `stream`.
    pub(super) fn pass_on(mut self, snapshot: &Snapshot, stream: &Stream, question: &Question) -> Self {
        let route = &stream.route;
        self.listener = Some(ListenerFacts {
            port: question.port,
            target_port: stream.key.port,
            protocol: stream.protocol.name(),
            gateways: vec![format!("{}/{}", stream.gateway.namespace, stream.gateway.name)],
        });
        self.route = Some(RouteFacts::of_stream(&route.origin));
        self.outcome = Outcome::TcpForward;
        let destinations = || route.destinations.iter();
        self.clusters = destinations().map(|d| DestinationFacts::new(d.cluster, d.weight, snapshot)).collect();
        let used = destinations().map(|d| snapshot.cluster(d.cluster));
        self.cluster_policy = used.map(|cluster| (cluster.label.to_string(), ClusterPolicy::of(cluster))).collect();
        let clusters: Vec<_> = destinations().map(|d| d.cluster).collect();
        self.samples = facts::samples(&route.draw, &clusters, snapshot, question.samples, question.seed);
        if self.clusters.iter().all(|cluster| cluster.unknown.is_some()) {
            self.failed(Failure::NoCluster, None, "NC")
        } else if self.clusters.iter().all(|cluster| cluster.endpoints.is_empty() && !cluster.by_request) {
            self.failed(Failure::NoEndpoints, None, "UH")
        } else if self.cluster_policy.values().all(|policy| policy.tls.is_some()) {
            self.failed(Failure::NoTls, None, "UF,URX")
        } else {
            self
        }
    }
}

impl ListenerRow {
    pub(super) fn of_stream(stream: &Stream) -> Self {
        Self {
            address: stream.key.address.map_or_else(|| "*".to_owned(), |address| address.to_string()),
            port: stream.server_port,
            target_port: stream.key.port,
            protocol: stream.protocol.name().to_owned(),
            gateways: vec![format!("{}/{}", stream.gateway.namespace, stream.gateway.name)],
            virtual_hosts: Vec::new(),
            server_names: stream.names().map(|names| names.iter().map(ToString::to_string).collect()),
        }
    }
}

impl RouteRow {
    pub(super) fn of_stream(snapshot: &Snapshot, stream: &Stream) -> Self {
        let origin = &stream.route.origin;
        let destination = |d: &crate::routing::streams::WeightedCluster| DestinationRow {
            cluster: snapshot.cluster(d.cluster).label.to_string(),
            weight: d.weight,
        };
        Self {
            virtual_host: String::new(),
            port: stream.server_port,
            match_text: match_text(stream),
            action: "tcp_forward".to_owned(),
            destinations: stream.route.destinations.iter().map(destination).collect(),
            also: Vec::new(),
            hash_policy: hashes(snapshot, stream),
            object: origin.object.to_string(),
            section: origin.section.name().to_owned(),
            rule: origin.rule,
            entry: origin.entry,
            name: String::new(),
            source: origin.source.as_deref().map(str::to_owned),
        }
    }
}

/// `sni *.a.test, b.test`, or `any` for what is not looked at.
fn match_text(stream: &Stream) -> String {
    let (before, names) = match &stream.carries {
        Carries::Anything => return "any".to_owned(),
        Carries::Tls(names) => ("sni", names),
        Carries::EndedTls(server) => ("tls", &server.names),
    };
    if names.is_empty() {
        return format!("{before} any");
    }
    let names: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
    format!("{before} {}", names.join(", "))
}

fn hashes(snapshot: &Snapshot, stream: &Stream) -> bool {
    let policy = &snapshot.cluster(stream.route.policy).stream;
    if stream.route.is_alone { policy.hashes_source_alone } else { policy.hashes_source }
}
