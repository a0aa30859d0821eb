//! The traffic policy of a cluster, in Envoy's words.

use crate::{
    model::{
        origination::ClientTls,
        traffic_policy::{Algorithm, HashTable, OutlierDetection, ProxyProtocol},
    },
    routing::cluster::Cluster,
};
use serde::Serialize;
use std::{collections::BTreeMap, time::Duration};

/// What a DestinationRule makes of a cluster; without one, Istio's defaults.
#[derive(Clone, Debug, Serialize)]
pub struct ClusterPolicy {
    /// Envoy's `lb_policy`.
    pub lb: &'static str,
    /// The limits that are set, by Envoy's names.
    pub circuit_breakers: BTreeMap<String, u64>,
    pub outlier_detection: Option<OutlierFacts>,
    pub connect_timeout_ms: u64,
    /// `SIMPLE` or `MUTUAL` where the endpoints are spoken to in TLS, [`TLS_NOT_SERVED`] where that is asked for in vain.
    pub tls: Option<&'static str>,
    /// In which version of the PROXY protocol endpoints are told whose connection it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy_protocol: Option<&'static str>,
}

#[derive(Clone, Debug, Serialize)]
pub struct OutlierFacts {
    /// 0: never.
    pub consecutive_5xx: u32,
    pub consecutive_gateway_errors: u32,
    pub consecutive_local_origin_failures: Option<u32>,
    pub interval_ms: u64,
    pub base_ejection_time_ms: u64,
    pub max_ejection_percent: u32,
    pub min_health_percent: u32,
}

impl ClusterPolicy {
    pub(super) fn of(cluster: &Cluster) -> Self {
        let traffic = cluster.traffic.as_deref();
        let connections = traffic.and_then(|traffic| traffic.connections.as_ref());
        let limits = connections.map(|pool| {
            [
                ("max_connections", pool.max_connections),
                ("max_pending_requests", pool.max_pending_requests),
                ("max_requests", pool.max_requests),
                ("max_retries", pool.max_retries),
            ]
        });
        let connect_timeout = connections.and_then(|pool| pool.connect_timeout).unwrap_or(Duration::from_secs(10));
        Self {
            lb: match traffic {
                _ if cluster.dynamic.is_some() => "CLUSTER_PROVIDED",
                Some(traffic) => name(&traffic.balancer.settings().algorithm),
                None => "LEAST_REQUEST",
            },
            circuit_breakers: limits
                .into_iter()
                .flatten()
                .filter_map(|(name, limit)| Some((name.to_owned(), u64::from(limit?))))
                .collect(),
            outlier_detection: traffic
                .and_then(|traffic| traffic.balancer.memory().outliers.as_ref())
                .map(|outliers| OutlierFacts::of(outliers.settings())),
            connect_timeout_ms: milliseconds(connect_timeout),
            tls: traffic.and_then(|traffic| tls(&traffic.tls)),
            proxy_protocol: traffic.and_then(|traffic| traffic.proxy_protocol).map(|version| match version {
                ProxyProtocol::V1 => "V1",
                ProxyProtocol::V2 => "V2",
            }),
        }
    }
}

/// Of endpoints that are to be spoken to in a kind of TLS which is not served.
pub(super) const TLS_NOT_SERVED: &str = "not served";

fn tls(tls: &ClientTls) -> Option<&'static str> {
    match tls {
        ClientTls::Disable => None,
        ClientTls::NotServed => Some(TLS_NOT_SERVED),
        ClientTls::Begin(tls) => Some(if tls.origination.proves() { "MUTUAL" } else { "SIMPLE" }),
    }
}

impl OutlierFacts {
    fn of(settings: &OutlierDetection) -> Self {
        Self {
            consecutive_5xx: settings.consecutive_5xx,
            consecutive_gateway_errors: settings.consecutive_gateway,
            consecutive_local_origin_failures: settings.consecutive_local_origin,
            interval_ms: milliseconds(settings.interval),
            base_ejection_time_ms: milliseconds(settings.base_ejection_time),
            max_ejection_percent: settings.max_ejection_percent,
            min_health_percent: settings.min_health_percent,
        }
    }
}

/// Envoy's name of an algorithm.
pub(super) fn name(algorithm: &Algorithm) -> &'static str {
    match algorithm {
        Algorithm::LeastRequest => "LEAST_REQUEST",
        Algorithm::RoundRobin => "ROUND_ROBIN",
        Algorithm::Random => "RANDOM",
        Algorithm::Passthrough => "CLUSTER_PROVIDED",
        Algorithm::ConsistentHash(hash) => match hash.table {
            HashTable::Ring { .. } => "RING_HASH",
            HashTable::Maglev { .. } => "MAGLEV",
        },
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
