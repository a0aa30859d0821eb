//! The blocks of a traffic policy as the gateway serves them: Istio's defaulting. What the webhook refuses has been reported
//! by `traffic_policy`, and is left at its default here.

use super::{duration, load_balancer as checks, locality_policy};
use crate::{
    istio::destination_rule as istio,
    model::traffic_policy::{
        Algorithm, ConnectionPool, ConsistentHash, HashCookie, HashKey, HashTable, Http2Keepalive, Http2Settings,
        Keepalive, LoadBalancer, OutlierDetection, ProxyProtocol, RetryBudget, Speech, Warmup,
    },
};
use std::time::Duration;

/// Envoy's `DEFAULT_MIN_RING_SIZE` and `MaglevTable::DefaultTableSize`.
const RING_SIZE: u64 = 1024;
const MAGLEV_SIZE: u64 = 65_537;

/// `applyLoadBalancer` in istio's cluster_traffic_policy.go.
pub(super) fn load_balancer(settings: &istio::LoadBalancer) -> LoadBalancer {
    use istio::SimpleLb::{LeastConn, LeastRequest, Passthrough, Random, RoundRobin, Unspecified};
    let algorithm = match (&settings.consistent_hash, settings.simple.unwrap_or_default()) {
        (Some(hash), _) => Algorithm::ConsistentHash(consistent_hash(hash)),
        (None, Unspecified | LeastConn | LeastRequest) => Algorithm::LeastRequest,
        (None, RoundRobin) => Algorithm::RoundRobin,
        (None, Random) => Algorithm::Random,
        (None, Passthrough) => Algorithm::Passthrough,
    };
    LoadBalancer { algorithm, warmup: warmup(settings), locality: locality_policy::read(settings) }
}

/// `setWarmup`, and `setSlowStartConfig` for the deprecated field, whose other values are Envoy's defaults.
fn warmup(settings: &istio::LoadBalancer) -> Option<Warmup> {
    if let Some(warmup) = &settings.warmup {
        let percent = warmup.minimum_percent.filter(|percent| (0.0..=100.0).contains(percent));
        let aggression = warmup.aggression.filter(|aggression| *aggression > 0.0 && aggression.is_finite());
        return Some(Warmup {
            duration: positive(warmup.duration.as_deref())?,
            minimum_percent: percent.unwrap_or(10.0),
            aggression: aggression.unwrap_or(1.0),
        });
    }
    let duration = positive(settings.warmup_duration_secs.as_deref())?;
    Some(Warmup { duration, minimum_percent: 10.0, aggression: 1.0 })
}

/// `ApplyRingHashLoadBalancer`, and `ConsistentHashToHashPolicy` in istio's route.go.
fn consistent_hash(hash: &istio::ConsistentHash) -> ConsistentHash {
    let key = if let Some(name) = &hash.http_header_name {
        name.parse().ok().map(HashKey::Header)
    } else if let Some(cookie) = &hash.http_cookie {
        (!cookie.name.is_empty()).then(|| HashKey::Cookie(hash_cookie(cookie)))
    } else if hash.use_source_ip == Some(true) {
        Some(HashKey::SourceIp)
    } else {
        hash.http_query_parameter_name.as_deref().map(|name| HashKey::Query(name.into()))
    };
    let table = match (&hash.maglev, &hash.ring_hash) {
        (Some(maglev), _) => {
            let size = Some(maglev.table_size).filter(|size| *size < checks::MAGLEV_LIMIT && checks::is_prime(*size));
            HashTable::Maglev { size: size.unwrap_or(MAGLEV_SIZE) }
        }
        (None, ring) => {
            let minimum = ring.as_ref().map_or(hash.minimum_ring_size, |ring| ring.minimum_ring_size);
            let minimum = Some(minimum).filter(|size| (1..=checks::RING_LIMIT).contains(size));
            HashTable::Ring { minimum_size: minimum.unwrap_or(RING_SIZE) }
        }
    };
    ConsistentHash { key, table }
}

fn hash_cookie(cookie: &istio::HttpCookie) -> HashCookie {
    let ttl = cookie.ttl.as_deref().and_then(duration::nanoseconds).and_then(|ttl| u64::try_from(ttl).ok());
    let attributes = cookie.attributes.iter().filter(|attribute| !attribute.name.is_empty());
    HashCookie {
        name: cookie.name.as_str().into(),
        path: cookie.path.as_str().into(),
        ttl_seconds: ttl.map(|nanoseconds| nanoseconds / 1_000_000_000),
        attributes: attributes.map(|a| (a.name.as_str().into(), a.value.as_str().into())).collect(),
    }
}

/// `applyConnectionPool`: 0 is "not given" for every number.
pub(super) fn connection_pool(pool: &istio::ConnectionPool) -> ConnectionPool {
    let count = |number: i32| u32::try_from(number).ok().filter(|number| *number > 0);
    let http = pool.http.as_ref();
    let tcp = pool.tcp.as_ref();
    // An idle timeout of 0s keeps unused connections, and so does one of less than a millisecond.
    let idle = |text: Option<&str>| {
        let time = text.and_then(duration::nanoseconds).and_then(from_nanoseconds)?;
        Some(if time < Duration::from_millis(1) { Duration::ZERO } else { time })
    };
    ConnectionPool {
        max_connections: tcp.and_then(|tcp| count(tcp.max_connections)),
        max_pending_requests: http.and_then(|http| count(http.http1_max_pending_requests)),
        max_requests: http.and_then(|http| count(http.http2_max_requests)),
        max_retries: http.and_then(|http| count(http.max_retries)),
        max_requests_per_connection: http.and_then(|http| count(http.max_requests_per_connection)),
        connect_timeout: tcp.and_then(|tcp| positive(tcp.connect_timeout.as_deref())),
        keepalive: tcp.and_then(|tcp| tcp.tcp_keepalive.as_ref()).map(|keepalive| Keepalive {
            probes: Some(keepalive.probes).filter(|probes| *probes > 0),
            time: whole_seconds(keepalive.time.as_deref()),
            interval: whole_seconds(keepalive.interval.as_deref()),
        }),
        idle_timeout: idle(http.and_then(|http| http.idle_timeout.as_deref()))
            .or_else(|| idle(tcp.and_then(|tcp| tcp.idle_timeout.as_deref()))),
        max_connection_duration: tcp.and_then(|tcp| positive(tcp.max_connection_duration.as_deref())),
        tcp_idle_timeout: idle(tcp.and_then(|tcp| tcp.idle_timeout.as_deref())),
        speech: http.map(speech).unwrap_or_default(),
    }
}

/// `applyH2Upgrade` and `setUseDownstreamProtocol` in cluster_traffic_policy.go and cluster_builder.go.
fn speech(http: &istio::HttpSettings) -> Speech {
    if http.use_client_protocol {
        return Speech::AsClient;
    }
    if http.h2_upgrade_policy != istio::H2UpgradePolicy::Upgrade {
        return Speech::AsPortSays;
    }
    let keepalive = http.http2_keep_alive.as_ref().and_then(|keepalive| {
        let (interval, timeout) = (positive(keepalive.interval.as_deref())?, positive(keepalive.timeout.as_deref())?);
        Some(Http2Keepalive { interval, timeout })
    });
    let most = u32::try_from(http.max_concurrent_streams).ok().filter(|most| *most > 0);
    Speech::Http2(Http2Settings { max_concurrent_streams: most, keepalive })
}

/// `applyOutlierDetection`, with Envoy's defaults.
pub(super) fn outlier_detection(outlier: &istio::OutlierDetection) -> OutlierDetection {
    let local = outlier.consecutive_local_origin_failures.filter(|failures| *failures > 0).unwrap_or(5);
    let percent = |percent: i32| u32::try_from(percent).ok().filter(|percent| *percent <= 100);
    OutlierDetection {
        consecutive_5xx: outlier.consecutive_5xx_errors.unwrap_or(5),
        consecutive_gateway: outlier.consecutive_gateway_errors.unwrap_or(0),
        consecutive_local_origin: outlier.split_external_local_origin_errors.then_some(local),
        interval: positive(outlier.interval.as_deref()).unwrap_or(Duration::from_secs(10)),
        base_ejection_time: positive(outlier.base_ejection_time.as_deref()).unwrap_or(Duration::from_secs(30)),
        max_ejection_percent: percent(outlier.max_ejection_percent).filter(|percent| *percent > 0).unwrap_or(10),
        min_health_percent: percent(outlier.min_health_percent).unwrap_or(0),
    }
}

/// `applyRetryBudget`.
pub(super) fn retry_budget(budget: &istio::RetryBudget) -> RetryBudget {
    let percent = budget.percent.filter(|percent| (0.0..=100.0).contains(percent));
    RetryBudget {
        percent: percent.unwrap_or(20.0),
        min_concurrency: Some(budget.min_retry_concurrency).filter(|least| *least > 0).unwrap_or(3),
        interval: positive(budget.budget_interval.as_deref()),
    }
}

pub(super) fn proxy_protocol(settings: &istio::ProxyProtocol) -> ProxyProtocol {
    match settings.version {
        istio::ProxyProtocolVersion::V1 => ProxyProtocol::V1,
        istio::ProxyProtocolVersion::V2 => ProxyProtocol::V2,
    }
}

/// A duration of at least a millisecond.
fn positive(text: Option<&str>) -> Option<Duration> {
    let duration = from_nanoseconds(duration::nanoseconds(text?)?)?;
    (duration >= Duration::from_millis(1)).then_some(duration)
}

/// `setKeepAliveSettings` in istio's cluster.go; less than a second is not given.
fn whole_seconds(text: Option<&str>) -> Option<Duration> {
    let seconds = positive(text)?.as_secs();
    (seconds > 0).then(|| Duration::from_secs(seconds))
}

fn from_nanoseconds(nanoseconds: i128) -> Option<Duration> {
    u64::try_from(nanoseconds).ok().map(Duration::from_nanos)
}
