//! The values in a snapshot of ours.

use super::{Values, put};
use gateway::{
    model::{
        cors::{Cors, Listed},
        fault::{AbortStatus, Fault},
        share::Share,
        string_match::StringMatch,
        traffic_policy::{Algorithm, ConnectionPool, HashTable, OutlierDetection, Speech},
    },
    routing::{
        cluster::{Cluster, ClusterState, EndpointSpeech},
        route::{ForwardAction, Route, RouteAction},
        route_policy,
        snapshot::Snapshot,
    },
};
use std::{collections::BTreeMap, time::Duration};

/// Of every cluster that exists and has endpoints of its own, by Istio's name.
pub(crate) fn of_clusters(snapshot: &Snapshot) -> BTreeMap<String, Values> {
    let is_known = |cluster: &&std::sync::Arc<Cluster>| {
        matches!(cluster.state, ClusterState::Known(_)) && cluster.dynamic.is_none()
    };
    snapshot
        .clusters()
        .iter()
        .filter(is_known)
        .map(|cluster| (cluster.label.to_string(), of_cluster(cluster)))
        .collect()
}

fn of_cluster(cluster: &Cluster) -> Values {
    let mut values = Values::new();
    let speaks = match cluster.speaks {
        EndpointSpeech::Http1 => "HTTP/1.1",
        EndpointSpeech::Http2 => "HTTP/2",
        EndpointSpeech::AsClient => "as the client",
    };
    put(&mut values, "speaks", Some(speaks.to_owned()), "HTTP/1.1");
    let Some(traffic) = &cluster.traffic else { return values };
    if let Some(settings) = &traffic.connections {
        pool(settings, &mut values);
    }
    if let Some(budget) = &traffic.retry_budget {
        let interval = budget.interval.map(milliseconds).unwrap_or_default();
        values.insert("retry budget", format!("{} {} {interval}", budget.percent, budget.min_concurrency));
    }
    if let Some(found) = &traffic.balancer.memory().outliers {
        values.insert("outliers", outliers(found.settings()));
    }
    let balancer = traffic.balancer.settings();
    match &balancer.algorithm {
        Algorithm::LeastRequest | Algorithm::RoundRobin => {
            if let Some(warmup) = &balancer.warmup {
                let window = milliseconds(warmup.duration);
                values.insert("warms up", format!("{window} {} % {}", warmup.minimum_percent, warmup.aggression));
            }
        }
        Algorithm::ConsistentHash(hash) => match hash.table {
            HashTable::Ring { minimum_size } => put(&mut values, "ring", Some(minimum_size.to_string()), "1024"),
            HashTable::Maglev { size } => put(&mut values, "table", Some(size.to_string()), "65537"),
        },
        Algorithm::Random | Algorithm::Passthrough => {}
    }
    values
}

fn pool(pool: &ConnectionPool, values: &mut Values) {
    put(values, "idle timeout", pool.idle_timeout.map(milliseconds), "");
    put(values, "connection duration", pool.max_connection_duration.map(milliseconds), "");
    put(values, "requests of a connection", pool.max_requests_per_connection.map(|most| most.to_string()), "");
    if let Speech::Http2(settings) = &pool.speech {
        put(values, "streams of a connection", settings.max_concurrent_streams.map(|most| most.to_string()), "");
        put(values, "sign of life every", settings.keepalive.map(|keepalive| milliseconds(keepalive.interval)), "");
        put(values, "sign of life within", settings.keepalive.map(|keepalive| milliseconds(keepalive.timeout)), "");
    }
    if let Some(keepalive) = &pool.keepalive {
        let seconds = |time: Option<Duration>| time.map_or_else(|| "-".to_owned(), |time| time.as_secs().to_string());
        let probes = keepalive.probes.map_or_else(|| "-".to_owned(), |probes| probes.to_string());
        values.insert("keepalive", [probes, seconds(keepalive.time), seconds(keepalive.interval)].join(" "));
    }
}

fn outliers(outliers: &OutlierDetection) -> String {
    format!(
        "5xx {}, gateway {}, local {:?}, every {}, for {}, at most {} %, healthy {} %",
        outliers.consecutive_5xx,
        outliers.consecutive_gateway,
        outliers.consecutive_local_origin,
        milliseconds(outliers.interval),
        milliseconds(outliers.base_ejection_time),
        outliers.max_ejection_percent,
        outliers.min_health_percent,
    )
}

/// Of every route of the plaintext virtual hosts, by bound port and domain.
pub(crate) fn of_routes(snapshot: &Snapshot) -> BTreeMap<(u16, String), Vec<Values>> {
    let mut found = BTreeMap::new();
    for listener in snapshot.listeners().iter().filter(|listener| listener.tls.is_none()) {
        for host in listener.virtual_hosts() {
            let domain = host.name.rsplit_once(':').map_or(&*host.name, |(domain, _)| domain);
            let values = host.routes.iter().map(|route| of_route(snapshot, route));
            found.insert((listener.key.port, domain.to_owned()), values.collect());
        }
    }
    found
}

fn of_route(snapshot: &Snapshot, route: &Route) -> Values {
    let mut values = match &route.action {
        RouteAction::Forward(forward) => of_forward(snapshot, forward),
        RouteAction::Redirect(_) | RouteAction::DirectResponse(_) => Values::new(),
    };
    if let Some(fault) = &route.fault {
        faults(fault, &mut values);
    }
    values
}

fn of_forward(snapshot: &Snapshot, forward: &ForwardAction) -> Values {
    let mut values = Values::new();
    let policy = forward.policy.as_deref();
    let retries = route_policy::retries(policy);
    if retries.attempts > 0 {
        put(&mut values, "time of a try", retries.per_try_timeout.map(milliseconds), "");
        put(&mut values, "back-off", Some(milliseconds(retries.back_off)), "25");
        let codes: Vec<String> = retries.statuses.iter().map(ToString::to_string).collect();
        put(&mut values, "repeated statuses", Some(codes.join(",")), "");
        let stays = forward.stays_with_endpoint(snapshot);
        put(&mut values, "tries the same", Some(stays.to_string()), "false");
        put(&mut values, "leaves its locality", Some(retries.remote_localities.to_string()), "false");
    }
    let Some(policy) = policy else { return values };
    let mirrors = policy
        .mirrors
        .iter()
        .map(|mirror| format!("{} of {}", snapshot.cluster(mirror.cluster).label, millionths(mirror.share)));
    put(&mut values, "mirrors", Some(mirrors.collect::<Vec<_>>().join("; ")), "");
    if let Some(fault) = &policy.fault {
        faults(fault, &mut values);
    }
    if let Some(policy) = &policy.cors {
        values.insert("CORS", cors(policy));
    }
    values
}

fn faults(fault: &Fault, values: &mut Values) {
    if let Some(delay) = &fault.delay {
        values.insert("delay", format!("{} of {}", milliseconds(delay.time), millionths(delay.share)));
    }
    if let Some(abort) = &fault.abort {
        let status = match abort.status {
            AbortStatus::Http(status) => status.as_str().to_owned(),
            AbortStatus::Grpc(status) => format!("grpc {status}"),
        };
        values.insert("abort", format!("{status} of {}", millionths(abort.share)));
    }
}

fn cors(cors: &Cors) -> String {
    let origin = |origin: &StringMatch| match origin {
        StringMatch::Exact(text) => format!("exact {text}"),
        StringMatch::Prefix(text) => format!("prefix {text}"),
        StringMatch::Regex(regex) => format!("regex {}", regex.pattern),
    };
    let listed = |listed: &Listed| match listed {
        Listed::Nothing => String::new(),
        Listed::Anything => "*".to_owned(),
        Listed::These(value) => value.to_str().unwrap_or_default().to_owned(),
    };
    let origins: Vec<String> = cors.origins.iter().map(origin).collect();
    format!(
        "{}; {}; {}; {}; {:?}; credentials {}; passes others on {}",
        origins.join(", "),
        listed(&cors.methods),
        listed(&cors.headers),
        cors.expose.as_ref().and_then(|value| value.to_str().ok()).unwrap_or_default(),
        cors.max_age.map(|age| age.to_string()),
        cors.credentials,
        !cors.answers_others,
    )
}

fn milliseconds(time: Duration) -> String {
    time.as_millis().to_string()
}

fn millionths(share: Share) -> String {
    // At most four decimal places, as the share was read.
    format!("{:.0}", share.percent() * 10_000.0)
}
