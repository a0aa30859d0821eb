//! `gateway config`: what a gateway holds, as lists.

use super::{FINE, USAGE, complain, input::InputArgs, output};
use crate::explain::listing::{self, ClusterRow, EndpointRow, ListenerRow, RouteRow};
use clap::{Args, ValueEnum};
use std::net::SocketAddr;

#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// What to list
    #[arg(value_enum)]
    pub what: What,
    /// Ask a running daemon at its admin address instead of reading objects
    #[arg(long, value_name = "HOST:PORT", conflicts_with_all = ["filename", "kube"])]
    pub address: Option<SocketAddr>,
    #[command(flatten)]
    pub input: InputArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum What {
    Listeners,
    /// In matching order
    Routes,
    Clusters,
    Endpoints,
}

/// Runs the command and returns its exit code.
pub fn run(args: &ConfigArgs) -> u8 {
    let lists = match args.address {
        Some(address) => match super::daemon::get(address, "/config").and_then(|body| {
            serde_json::from_str(&body).map_err(|error| format!("{address} does not answer as a gateway: {error}"))
        }) {
            Ok(lists) => lists,
            Err(error) => {
                complain(&error);
                return USAGE;
            }
        },
        None => {
            let Ok(loaded) = output::load(&args.input) else { return USAGE };
            let (snapshot, _) = loaded.compile();
            listing::Lists::of(&snapshot)
        }
    };
    let form = args.input.output;
    match args.what {
        What::Listeners => output::print(form, &lists.listeners, |_| listeners(&lists.listeners)),
        What::Routes => output::print(form, &lists.routes, |wide| routes(&lists.routes, wide)),
        What::Clusters => output::print(form, &lists.clusters, |_| clusters(&lists.clusters)),
        What::Endpoints => output::print(form, &lists.endpoints, |wide| endpoints(&lists.endpoints, wide)),
    }
    FINE
}

fn listeners(rows: &[ListenerRow]) -> String {
    let row = |r: &ListenerRow| {
        vec![
            r.address.clone(),
            r.port.to_string(),
            r.target_port.to_string(),
            r.protocol.clone(),
            r.gateways.join(", "),
        ]
    };
    output::columns(&["ADDRESS", "PORT", "BOUND", "PROTOCOL", "GATEWAYS"], rows.iter().map(row))
}

fn routes(rows: &[RouteRow], wide: bool) -> String {
    let row = |r: &RouteRow| {
        let destinations: Vec<String> = r.destinations.iter().map(|d| format!("{}% {}", d.weight, d.cluster)).collect();
        let mut row = vec![
            r.match_text.clone(),
            r.virtual_host.clone(),
            r.action.clone(),
            destinations.join("\n"),
            r.object.clone(),
        ];
        if wide {
            row.extend([format!("{}[{}].match[{}]", r.section, r.rule, r.entry), r.source.clone().unwrap_or_default()]);
        }
        row
    };
    let mut header = vec!["MATCH", "VIRTUAL HOST", "ACTION", "DESTINATIONS", "OBJECT"];
    if wide {
        header.extend(["RULE", "SOURCE"]);
    }
    output::columns(&header, rows.iter().map(row))
}

fn clusters(rows: &[ClusterRow]) -> String {
    let row = |r: &ClusterRow| vec![r.name.clone(), r.state.clone(), r.endpoints.to_string()];
    output::columns(&["CLUSTER", "STATE", "ENDPOINTS"], rows.iter().map(row))
}

fn endpoints(rows: &[EndpointRow], wide: bool) -> String {
    let row = |r: &EndpointRow| {
        let mut row = vec![r.address.clone(), r.cluster.clone(), r.pod.clone().unwrap_or_default()];
        if wide {
            row.extend([r.node.clone().unwrap_or_default(), r.active_requests.to_string()]);
        }
        row
    };
    let mut header = vec!["ENDPOINT", "CLUSTER", "POD"];
    if wide {
        header.extend(["NODE", "ACTIVE"]);
    }
    output::columns(&header, rows.iter().map(row))
}
