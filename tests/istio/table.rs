//! A routing table as both gateways can tell it: Envoy's `/config_dump`, and the lists of `gateway config`.

use super::values::{self, Values};
use anyhow::{Context, ensure};
use gateway::{
    explain::listing::{ListenerRow, Lists, RouteRow},
    routing::snapshot::Snapshot,
};
use harness::http::client::{Client, get};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

/// Virtual hosts by bound port and domain; clusters by name, with their endpoints.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) hosts: BTreeMap<(u16, String), Host>,
    pub(crate) clusters: BTreeMap<String, BTreeSet<String>>,
    /// The traffic policy of clusters, from Envoy's dump; ours is in `explain`.
    pub(crate) policies: BTreeMap<String, ClusterPolicy>,
    /// What their numbers, times and shares are.
    values: BTreeMap<String, Values>,
    /// Clusters whose endpoints Envoy asks DNS for.
    from_dns: BTreeSet<String>,
}

/// The routes of a virtual host, in matching order.
pub(crate) type Host = Vec<Row>;

/// One route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// `namespace/name` of the VirtualService.
    pub(crate) object: String,
    /// The path condition first, the others sorted.
    pub(crate) conditions: Vec<String>,
    /// `forward`, `redirect`, `direct_response`
    pub(crate) action: String,
    pub(crate) destinations: Vec<(String, u64)>,
    /// Whatever else happens to the request: `mirrors`, `faults` …
    pub(crate) extras: BTreeSet<String>,
    /// With which numbers, times and shares.
    pub(crate) values: Values,
    /// What only Envoy's dump has here; ours comes from `explain`.
    pub(crate) policy: Option<Policy>,
}

/// What a DestinationRule makes of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClusterPolicy {
    pub(crate) load_balancer: String,
    pub(crate) connect_timeout: String,
    /// Those that are set, by Envoy's names.
    pub(crate) circuit_breakers: BTreeMap<String, u64>,
    pub(crate) outlier_detection: bool,
    pub(crate) tls: bool,
    /// The version.
    pub(crate) proxy_protocol: Option<String>,
}

/// How long a request may take, and how often it is sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Policy {
    pub(crate) timeout: String,
    pub(crate) attempts: u64,
    pub(crate) retry_on: String,
}

impl Table {
    /// What Envoy holds: its route tables and the endpoints of its clusters.
    pub(crate) fn of_envoy(admin: SocketAddr) -> anyhow::Result<Self> {
        let mut table = Self::default();
        let dump = page(admin, "/config_dump?resource=dynamic_route_configs")?;
        for config in list(&dump["configs"]) {
            let config = &config["route_config"];
            // Plaintext listeners on every address: `http.8080`.
            let port = config["name"].as_str().and_then(|name| name.strip_prefix("http.")?.parse().ok());
            let Some(port) = port else { continue };
            for host in list(&config["virtual_hosts"]) {
                // What Istio puts where a listener has no virtual host.
                if host["name"].as_str().is_some_and(|name| name.starts_with("blackhole:")) {
                    continue;
                }
                let read: Host = list(&host["routes"]).map(envoy_row).collect();
                // A host with its namespace, which Istio leaves there for httpsRedirect, is none that a client could name.
                let domains = list(&host["domains"]).filter_map(Value::as_str).filter(|domain| !domain.contains('/'));
                for domain in domains {
                    table.hosts.insert((port, domain.to_owned()), read.clone());
                }
            }
        }
        let dump = page(admin, "/config_dump?resource=dynamic_active_clusters")?;
        for cluster in list(&dump["configs"]).map(|config| &config["cluster"]) {
            table.policies.insert(text(&cluster["name"]), cluster_policy(cluster));
            table.values.insert(text(&cluster["name"]), values::of_cluster(cluster));
            if text(&cluster["type"]).ends_with("_DNS") {
                table.from_dns.insert(text(&cluster["name"]));
            }
        }
        let clusters = page(admin, "/clusters?format=json")?;
        for cluster in list(&clusters["cluster_statuses"]) {
            // Those that are not ready are there where a Service has a trafficDistribution, and get nothing.
            let hosts = list(&cluster["host_statuses"]);
            let addresses =
                hosts.filter(|host| host["health_status"]["eds_health_status"] != "UNHEALTHY").map(|host| {
                    let address = &host["address"]["socket_address"];
                    at_level(
                        &format!("{}:{}", text(&address["address"]), address["port_value"]),
                        host["priority"].as_u64().unwrap_or_default(),
                    )
                });
            table.clusters.insert(text(&cluster["name"]), addresses.collect());
        }
        Ok(table)
    }

    /// The same of our snapshot. Only clusters that exist, as in Envoy.
    pub(crate) fn of_ours(snapshot: &Snapshot) -> Self {
        let lists = &Lists::of(snapshot);
        let mut table = Self { values: values::of_clusters(snapshot), ..Self::default() };
        let bound: BTreeMap<&str, u16> = lists
            .listeners
            .iter()
            .flat_map(|listener| listener.virtual_hosts.iter().map(|host| (host.as_str(), listener.target_port)))
            .collect();
        // Envoy's tables of HTTPS servers are named after each server, and left out above.
        let is_plain = |listener: &&ListenerRow| listener.protocol != "HTTPS";
        let plain: BTreeSet<&str> =
            lists.listeners.iter().filter(is_plain).flat_map(|l| l.virtual_hosts.iter().map(String::as_str)).collect();
        for listener in lists.listeners.iter().filter(is_plain) {
            for name in &listener.virtual_hosts {
                // The part behind the last colon is the port.
                let domain = name.rsplit_once(':').map_or(name.as_str(), |(domain, _)| domain);
                table.hosts.entry((listener.target_port, domain.to_owned())).or_default();
            }
        }
        // What is passed on unread is in Envoy's listeners; the requests show where it goes.
        let is_compared = |row: &&RouteRow| row.section == "http" && plain.contains(row.virtual_host.as_str());
        for row in lists.routes.iter().filter(is_compared) {
            let domain = row.virtual_host.rsplit_once(':').map_or(row.virtual_host.as_str(), |(domain, _)| domain);
            let port = bound.get(row.virtual_host.as_str()).copied().unwrap_or(row.port);
            table.hosts.entry((port, domain.to_owned())).or_default().push(our_row(row));
        }
        for (key, values) in values::of_routes(snapshot) {
            let rows = table.hosts.get_mut(&key).into_iter().flatten();
            for (row, values) in rows.zip(values) {
                row.values = values;
            }
        }
        for cluster in lists.clusters.iter().filter(|cluster| cluster.state == "known") {
            table.clusters.entry(cluster.name.clone()).or_default();
        }
        for endpoint in &lists.endpoints {
            let shown = at_level(&endpoint.address, endpoint.level as u64);
            table.clusters.entry(endpoint.cluster.clone()).or_default().insert(shown);
        }
        table
    }

    /// Every way in which `ours` is not this table of Istio's, each with the name of the object it is about. Clusters that no
    /// route of ours names are not compared: Istio makes one for every Service.
    pub(crate) fn differences(&self, ours: &Self) -> Vec<String> {
        let mut found = Vec::new();
        let keys: BTreeSet<_> = self.hosts.keys().chain(ours.hosts.keys()).collect();
        for key in keys {
            let at = format!("virtual host {} on port {}", key.1, key.0);
            match (self.hosts.get(key), ours.hosts.get(key)) {
                (Some(istio), Some(ours)) => found.extend(host_differences(&at, istio, ours)),
                (Some(_), None) => found.push(format!("{at}: not here")),
                (None, _) => found.push(format!("{at}: not at Istio's")),
            }
        }
        let used = ours.hosts.values().flatten().flat_map(|route| &route.destinations);
        let used: BTreeSet<&String> = used.map(|(name, _)| name).collect();
        for name in used {
            let (istio, ours) = (self.clusters.get(name), ours.clusters.get(name));
            // What DNS says, only the running gateway knows; the requests show it.
            if istio != ours && !self.from_dns.contains(name) {
                found.push(format!("endpoints of {name}: Istio {istio:?}, here {ours:?}"));
            }
        }
        for (name, ours) in &ours.values {
            if let Some(istio) = self.values.get(name).filter(|istio| *istio != ours) {
                found.push(format!("values of {name}: Istio {istio:?}, here {ours:?}"));
            }
        }
        found
    }
}

/// An endpoint and the level it is in, Envoy's priority.
fn at_level(address: &str, level: u64) -> String {
    if level == 0 { address.to_owned() } else { format!("{address} at level {level}") }
}

fn host_differences(at: &str, istio: &[Row], ours: &[Row]) -> Vec<String> {
    let mut found = Vec::new();
    for index in 0..istio.len().max(ours.len()) {
        let show = |row: Option<&Row>| {
            row.map_or_else(
                || "none".to_owned(),
                |row| {
                    let conditions = row.conditions.join(", ");
                    let Row { object, action, destinations, extras, values, .. } = row;
                    format!("{object} {conditions} → {action} {destinations:?} {extras:?} {values:?}")
                },
            )
        };
        let (istio, ours) = (show(istio.get(index)), show(ours.get(index)));
        if istio != ours {
            found.push(format!("{at}: route {index}: Istio {istio}, here {ours}"));
        }
    }
    found
}

fn our_row(row: &RouteRow) -> Row {
    let mut conditions: Vec<String> = row.match_text.split(", ").map(as_header).collect();
    conditions[1..].sort();
    Row {
        object: row.object.trim_start_matches("VirtualService ").to_owned(),
        conditions,
        action: row.action.clone(),
        destinations: row.destinations.iter().map(|d| (d.cluster.clone(), d.weight.into())).collect(),
        extras: row.also.iter().cloned().chain(row.hash_policy.then(|| "hash policy".to_owned())).collect(),
        // Beside the lists: see `of_ours`.
        values: Values::new(),
        policy: None,
    }
}

/// `method`, `scheme` and `authority` are fields at Envoy's.
fn as_header(condition: &str) -> String {
    let pseudo = ["method ", "scheme ", "authority "].iter().any(|name| condition.starts_with(name));
    if pseudo { format!("header :{condition}") } else { condition.to_owned() }
}

fn envoy_row(route: &Value) -> Row {
    let action = &route["route"];
    let destinations = match &action["cluster"] {
        Value::String(cluster) => vec![(cluster.clone(), 100)],
        _ => list(&action["weighted_clusters"]["clusters"])
            .map(|cluster| (text(&cluster["name"]), cluster["weight"].as_u64().unwrap_or_default()))
            .collect(),
    };
    let kinds = [("route", "forward"), ("redirect", "redirect"), ("direct_response", "direct_response")];
    let kind = kinds.iter().find(|(field, _)| route[field].is_object()).map_or("none", |(_, name)| name);
    // /apis/networking.istio.io/v1/namespaces/default/virtual-service/reviews
    let config = text(&route["metadata"]["filter_metadata"]["istio"]["config"]);
    let words: Vec<&str> = config.split('/').collect();
    let object = match words.as_slice() {
        [.., namespace, "virtual-service", name] => format!("{namespace}/{name}"),
        _ => config,
    };
    let values = values::of_route(route);
    Row {
        object,
        conditions: envoy_conditions(&route["match"]),
        action: kind.to_owned(),
        destinations,
        extras: extras(route, &values),
        values,
        policy: action.is_object().then(|| Policy {
            timeout: text(&action["timeout"]),
            attempts: action["retry_policy"]["num_retries"].as_u64().unwrap_or_default(),
            retry_on: text(&action["retry_policy"]["retry_on"]),
        }),
    }
}

/// What else the route does. Istio also writes what has no effect: faults and mirrors of no request, CORS for an answer of the
/// gateway's own, the source address as a key that is switched off.
fn extras(route: &Value, values: &Values) -> BTreeSet<String> {
    let filters = &route["typed_per_filter_config"];
    let is_switched_off = |key: &Value| {
        let source = &key["connection_properties"];
        source.is_object() && source["source_ip"] != true
    };
    let found = [
        ("mirrors", values.contains_key("mirrors")),
        ("hash policy", list(&route["route"]["hash_policy"]).any(|key| !is_switched_off(key))),
        ("faults", values.contains_key("delay") || values.contains_key("abort")),
        ("CORS", route["route"].is_object() && filters["envoy.filters.http.cors"].is_object()),
    ];
    found.into_iter().filter(|(_, is_there)| *is_there).map(|(name, _)| name.to_owned()).collect()
}

fn cluster_policy(cluster: &Value) -> ClusterPolicy {
    let thresholds = list(&cluster["circuit_breakers"]["thresholds"]).filter_map(Value::as_object).flatten();
    // Istio writes the largest number for no limit.
    let limits = thresholds.filter_map(|(name, value)| Some((name.clone(), value.as_u64()?)));
    let is_proxy_protocol =
        |socket: &Value| text(&socket["typed_config"]["@type"]).ends_with(".ProxyProtocolUpstreamTransport");
    let outer = &cluster["transport_socket"];
    let (inner, proxy_protocol) = if is_proxy_protocol(outer) {
        let config = &outer["typed_config"];
        // The first of an enumeration is not written down.
        (&config["transport_socket"], Some(config["config"]["version"].as_str().unwrap_or("V1").to_owned()))
    } else {
        (outer, None)
    };
    let is_raw = text(&inner["name"]).ends_with("raw_buffer");
    ClusterPolicy {
        load_balancer: cluster["lb_policy"].as_str().unwrap_or("ROUND_ROBIN").to_owned(),
        connect_timeout: text(&cluster["connect_timeout"]),
        circuit_breakers: limits.filter(|(_, limit)| *limit != u64::from(u32::MAX)).collect(),
        outlier_detection: cluster["outlier_detection"].is_object(),
        tls: (inner.is_object() && !is_raw) || cluster["transport_socket_matches"].is_array(),
        proxy_protocol,
    }
}

/// In the words of `gateway config`.
fn envoy_conditions(condition: &Value) -> Vec<String> {
    let path = ["prefix", "path"].iter().find_map(|field| Some((*field, condition[field].as_str()?)));
    let mut path = match path {
        Some(("path", value)) => format!("uri exact {value}"),
        Some((_, value)) => format!("uri prefix {value}"),
        None => format!("uri regex {}", text(&condition["safe_regex"]["regex"])),
    };
    if condition["case_sensitive"] == false {
        path.push_str(" (any case)");
    }
    let mut others = Vec::new();
    for header in list(&condition["headers"]) {
        let name = text(&header["name"]).to_ascii_lowercase();
        let value = string_match(&header["string_match"]);
        let not = if header["invert_match"] == true { "without " } else { "" };
        others.push(format!("{not}header {name} {value}"));
    }
    for query in list(&condition["query_parameters"]) {
        others.push(format!("query {} {}", text(&query["name"]), string_match(&query["string_match"])));
    }
    others.sort();
    std::iter::once(path).chain(others).collect()
}

fn string_match(value: &Value) -> String {
    let kinds = [("exact", "exact"), ("prefix", "prefix")];
    let plain = kinds.iter().find_map(|(field, name)| Some(format!("{name} {}", value[field].as_str()?)));
    plain.unwrap_or_else(|| match value["safe_regex"]["regex"].as_str() {
        Some(regex) => format!("regex {regex}"),
        None => "present".to_owned(),
    })
}

/// How many updates from Istio's control plane Envoy has refused so far.
pub(crate) fn refused_updates(admin: SocketAddr) -> anyhow::Result<u64> {
    let stats = page(admin, "/stats?format=json&filter=update_rejected")?;
    Ok(list(&stats["stats"]).filter_map(|stat| stat["value"].as_u64()).sum())
}

/// How many clusters Envoy has that it can route to.
pub(crate) fn active_clusters(admin: SocketAddr) -> anyhow::Result<u64> {
    let stats = page(admin, "/stats?format=json&filter=cluster_manager.active_clusters")?;
    Ok(list(&stats["stats"]).filter_map(|stat| stat["value"].as_u64()).sum())
}

/// A page of Envoy's admin server, which answers in JSON.
fn page(admin: SocketAddr, path: &str) -> anyhow::Result<Value> {
    let answer = Client::connect(admin).exchange(get("localhost", path));
    ensure!(answer.status() == 200, "Envoy answers {path} with {}", answer.status());
    serde_json::from_slice(&answer.body).with_context(|| format!("Envoy's {path}"))
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
