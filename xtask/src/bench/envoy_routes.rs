//! Envoy with a table of prefixes: as the list that Istio gives it, and as the tree that Envoy also knows.

use super::{
    cells::Bench,
    objects::prefix,
    place::{NODE, PODS},
    pods::OUTSIDE,
    program::{Cpu, Program, Start},
    stage::envoy_arguments,
};
use anyhow::Context;
use serde_json::{Map, Value, json};
use std::fs;

/// How Envoy keeps the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keeping {
    /// Routes tried one after the other.
    List,
    /// `matcher_tree` with a `prefix_match_map`.
    Tree,
}

/// Starts one, and says where it listens.
pub(super) fn start(
    bench: &Bench<'_>,
    name: &'static str,
    keeping: Keeping,
    routes: usize,
) -> anyhow::Result<(Program, String)> {
    let port = if keeping == Keeping::List { 8061 } else { 8062 };
    let config = bench.place.directory().join(format!("{name}.json"));
    fs::write(&config, bootstrap(keeping, routes, port).to_string())
        .with_context(|| format!("write {}", config.display()))?;
    let envoy = bench.tools.envoy.clone().map_err(anyhow::Error::msg)?;
    let arguments = envoy_arguments(&config.display().to_string(), 1);
    let start = Start { name, program: &envoy, arguments: &arguments, cpu: Cpu::Device, cgroup: None };
    let mut program = bench.place.on_node(&start)?;
    let address = format!("{NODE}:{port}");
    program.until_listening(bench.place, &address, bench.interrupt)?;
    Ok((program, address))
}

/// The choices of tests/bench/envoy.yaml, with this table.
fn bootstrap(keeping: Keeping, routes: usize, port: u16) -> Value {
    let socket = |address: &str, port: u16| json!({"socket_address": {"address": address, "port_value": port}});
    let endpoint = json!({"lb_endpoints": [{"endpoint": {"address": socket(PODS, OUTSIDE.v2)}}]});
    json!({
        "stats_config": {"stats_matcher": {"reject_all": true}},
        "static_resources": {
            "listeners": [{
                "name": "h1",
                "address": socket(NODE, port),
                "filter_chains": [{"filters": [{"name": "hcm", "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                    "stat_prefix": "i",
                    "use_remote_address": true,
                    "normalize_path": true,
                    "stream_idle_timeout": "0s",
                    "route_config": {"virtual_hosts": [virtual_host(keeping, routes)]},
                    "http_filters": [{"name": "router", "typed_config": {
                        "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
                        "dynamic_stats": false,
                    }}],
                }}]}],
            }],
            "clusters": [{
                "name": "v1",
                "type": "STATIC",
                "connect_timeout": "10s",
                "lb_policy": "LEAST_REQUEST",
                "load_assignment": {"cluster_name": "v1", "endpoints": [endpoint]},
            }],
        },
    })
}

fn virtual_host(keeping: Keeping, routes: usize) -> Value {
    let action = json!({"cluster": "v1", "timeout": "0s"});
    let mut host = json!({"name": "all", "domains": ["*"]});
    match keeping {
        Keeping::List => {
            let route = |number| json!({"match": {"prefix": prefix(number)}, "route": action});
            host["routes"] = (0..routes).map(route).collect();
        }
        Keeping::Tree => {
            let found = json!({"action": {"name": "route", "typed_config": {
                "@type": "type.googleapis.com/envoy.config.route.v3.Route",
                "match": {"prefix": "/"},
                "route": action,
            }}});
            let map: Map<String, Value> = (0..routes).map(|number| (prefix(number), found.clone())).collect();
            host["matcher"] = json!({"matcher_tree": {
                "input": {"name": "path", "typed_config": {
                    "@type": "type.googleapis.com/envoy.type.matcher.v3.HttpRequestHeaderMatchInput",
                    "header_name": ":path",
                }},
                "prefix_match_map": {"map": map},
            }});
        }
    }
    host
}
