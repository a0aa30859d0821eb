//! `trafficPolicy` of a DestinationRule: how connections to a service are made, shared out, bounded and given up.

use super::{locality_policy::LocalityPolicy, origination::ClientTls};
use http::HeaderName;
use std::{sync::Arc, time::Duration};

/// The policy of a service or of one of its subsets.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrafficPolicy {
    pub blocks: PolicyBlocks,
    /// `portLevelSettings`, by port of the service. Each takes the place of all of `blocks`.
    pub ports: Vec<(u16, PolicyBlocks)>,
    /// Of streams, and neither inherited by subsets nor set for ports.
    pub tunnel: Option<Arc<Tunnel>>,
}

/// Endpoints are proxies, which are asked to connect streams to somebody else (`tunnel`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tunnel {
    /// Host and port.
    pub target: String,
}

/// The blocks that are inherited one by one; `None` is a block that is not there.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PolicyBlocks {
    pub load_balancer: Option<LoadBalancer>,
    pub connection_pool: Option<ConnectionPool>,
    pub outlier_detection: Option<OutlierDetection>,
    pub tls: Option<ClientTls>,
    /// No block of `portLevelSettings`.
    pub retry_budget: Option<RetryBudget>,
    /// The same.
    pub proxy_protocol: Option<ProxyProtocol>,
}

/// In which version of the PROXY protocol endpoints are told who has connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProxyProtocol {
    V1,
    V2,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct LoadBalancer {
    pub algorithm: Algorithm,
    pub warmup: Option<Warmup>,
    /// `None` leaves it to the Service, and then to the mesh.
    pub locality: Option<LocalityPolicy>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub enum Algorithm {
    #[default]
    LeastRequest,
    RoundRobin,
    Random,
    /// To the address the client asked for, of which a gateway knows none: requests get 503 UH.
    Passthrough,
    ConsistentHash(ConsistentHash),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsistentHash {
    /// `None` when no key is named: every request goes to a random endpoint.
    pub key: Option<HashKey>,
    pub table: HashTable,
}

/// What of a request is hashed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HashKey {
    Header(HeaderName),
    Cookie(HashCookie),
    SourceIp,
    /// The first value of this query parameter.
    Query(Arc<str>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HashCookie {
    pub name: Arc<str>,
    /// May be empty.
    pub path: Arc<str>,
    /// Whole seconds. With it, a client without the cookie is given one, for the session when it is 0.
    pub ttl_seconds: Option<u64>,
    pub attributes: Vec<(Arc<str>, Arc<str>)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashTable {
    /// At least so many points, shared by all endpoints.
    Ring { minimum_size: u64 },
    /// So many entries: a prime number.
    Maglev { size: u64 },
}

/// Slow start of endpoints that have just come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Warmup {
    pub duration: Duration,
    /// Of its weight that an endpoint has at first.
    pub minimum_percent: f64,
    /// 1 is linear; more begins faster.
    pub aggression: f64,
}

/// Limits are of the whole process; `None` is no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectionPool {
    pub max_connections: Option<u32>,
    pub max_pending_requests: Option<u32>,
    pub max_requests: Option<u32>,
    pub max_retries: Option<u32>,
    pub max_requests_per_connection: Option<u32>,
    /// `None` for the gateway's own default.
    pub connect_timeout: Option<Duration>,
    pub keepalive: Option<Keepalive>,
    /// Zero keeps unused connections for ever; `None` is the gateway's own default.
    pub idle_timeout: Option<Duration>,
    pub max_connection_duration: Option<Duration>,
    /// `tcp.idleTimeout`, of connections that are passed on unread: zero never ends one.
    pub tcp_idle_timeout: Option<Duration>,
    pub speech: Speech,
}

/// What HTTP is spoken to the endpoints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Speech {
    /// What the port of the service says of itself.
    #[default]
    AsPortSays,
    /// What the client speaks (`useClientProtocol`).
    AsClient,
    /// HTTP/2 (`h2UpgradePolicy: UPGRADE`). Only then Istio looks at the other settings of HTTP/2.
    Http2(Http2Settings),
}

/// `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Http2Settings {
    /// Requests at once on one connection.
    pub max_concurrent_streams: Option<u32>,
    pub keepalive: Option<Http2Keepalive>,
}

/// `http2KeepAlive`: how often a connection is asked for a sign of life, and how long it may take to give one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Http2Keepalive {
    pub interval: Duration,
    pub timeout: Duration,
}

/// `tcpKeepalive`; `None` leaves it to the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keepalive {
    pub probes: Option<u32>,
    pub time: Option<Duration>,
    pub interval: Option<Duration>,
}

/// Passive health checking: an endpoint that fails too often in a row is left out for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutlierDetection {
    /// So many answers of 500 and more in a row; 0 never ejects.
    pub consecutive_5xx: u32,
    /// So many of 502, 503 and 504; 0 never ejects.
    pub consecutive_gateway: u32,
    /// With it, failures to connect and timeouts are counted on their own, and so many in a row eject.
    pub consecutive_local_origin: Option<u32>,
    /// How often ejections are looked at.
    pub interval: Duration,
    /// How long the first ejection lasts; later ones take a multiple.
    pub base_ejection_time: Duration,
    /// Of the endpoints, that may be ejected.
    pub max_ejection_percent: u32,
    /// Fewer healthy endpoints than this, and requests go to all of them.
    pub min_health_percent: u32,
}

/// How many retries there may be at once; takes the place of `maxRetries`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetryBudget {
    /// Of the requests that are on their way or wait.
    pub percent: f64,
    /// So many in any case.
    pub min_concurrency: u32,
    /// Requests count for so long after they have begun, also when they have ended.
    pub interval: Option<Duration>,
}

impl OutlierDetection {
    /// The longest an ejection lasts, whatever its multiple (`max_ejection_time` in Envoy's outlier_detection_impl.cc).
    pub fn max_ejection_time(&self) -> Duration {
        self.base_ejection_time.max(Duration::from_secs(300))
    }
}

impl TrafficPolicy {
    /// The blocks for `port`, and whether they are the port's own (`GetPortLevelTrafficPolicy` in istio's
    /// pilot/pkg/networking/util/util.go).
    fn for_port(&self, port: u16) -> (&PolicyBlocks, bool) {
        let own = self.ports.iter().find(|(number, _)| *number == port);
        own.map_or((&self.blocks, false), |(_, blocks)| (blocks, true))
    }

    /// What holds for `port` of a service, and of a subset of it when `subset` is its policy (`MergeSubsetTrafficPolicy` in
    /// the same file): block by block the subset's, and all of the subset's where it names the port.
    pub fn effective(service: Option<&Self>, subset: Option<&Self>, port: u16) -> PolicyBlocks {
        let base = service.map(|policy| policy.for_port(port).0);
        let Some(subset) = subset else { return base.cloned().unwrap_or_default() };
        let merged = Self::merged(base, subset, port);
        // The cluster of a subset is of the type that its service's has, or its own policy asks for without a look at ports,
        // and one of that type has no other algorithm (`buildSubsetCluster` in istio's cluster_builder.go).
        let passes = base.is_some_and(PolicyBlocks::passes) || subset.blocks.passes();
        if !passes || merged.passes() {
            return merged;
        }
        let balancer = merged.load_balancer.unwrap_or_default();
        PolicyBlocks { load_balancer: Some(LoadBalancer { algorithm: Algorithm::Passthrough, ..balancer }), ..merged }
    }

    fn merged(base: Option<&PolicyBlocks>, subset: &Self, port: u16) -> PolicyBlocks {
        let (own, for_port) = subset.for_port(port);
        let Some(base) = base else { return own.clone() };
        let retry_budget = own.retry_budget.or(base.retry_budget);
        let proxy_protocol = own.proxy_protocol.or(base.proxy_protocol);
        if for_port {
            return PolicyBlocks { retry_budget, proxy_protocol, ..own.clone() };
        }
        PolicyBlocks {
            load_balancer: own.load_balancer.clone().or_else(|| base.load_balancer.clone()),
            connection_pool: own.connection_pool.clone().or_else(|| base.connection_pool.clone()),
            outlier_detection: own.outlier_detection.clone().or_else(|| base.outlier_detection.clone()),
            tls: own.tls.clone().or_else(|| base.tls.clone()),
            retry_budget,
            proxy_protocol,
        }
    }

    /// What is hashed of requests to a destination that names `port`, or no port (`HashForHTTPDestination` in istio's
    /// route.go): a port's own settings count only for a destination that names it. `None` without hashing, `Some(None)` where
    /// it has no key.
    pub fn hash(service: Option<&Self>, subset: Option<&Self>, port: Option<u16>) -> Option<Option<HashKey>> {
        fn of_port(policy: &TrafficPolicy, port: Option<u16>) -> Option<&ConsistentHash> {
            policy.ports.iter().find(|(number, _)| Some(*number) == port)?.1.consistent_hash()
        }
        let nearest = |policy: Option<&Self>| {
            let hash = policy.and_then(|policy| of_port(policy, port).or_else(|| policy.blocks.consistent_hash()));
            hash.map(|hash| hash.key.clone())
        };
        nearest(subset).or_else(|| nearest(service))
    }
}

impl PolicyBlocks {
    fn passes(&self) -> bool {
        self.load_balancer.as_ref().is_some_and(|balancer| balancer.algorithm == Algorithm::Passthrough)
    }

    fn consistent_hash(&self) -> Option<&ConsistentHash> {
        match &self.load_balancer.as_ref()?.algorithm {
            Algorithm::ConsistentHash(hash) => Some(hash),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
