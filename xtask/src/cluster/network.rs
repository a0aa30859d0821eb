//! A network namespace for every node and one for the control plane, which also holds the bridge that joins them all.
//!
//! The host gets one interface and its routes, so that a person can reach nodes and pods. The bridge is not the host's:
//! firewalls of the host, Docker's for one, have no say about what nodes send each other.

use super::instance::{Instance, Network, Node};
use crate::{
    command::{command, output},
    install,
    interrupt::Interrupt,
};
use anyhow::{Context, bail};
use std::{fs, path::Path};

const NAMESPACES: &str = "/run/netns";
const BRIDGE: &str = "cluster";

/// A network no route of the host leads into.
pub(crate) fn free(interrupt: &Interrupt) -> anyhow::Result<Network> {
    let routes = output(&mut command(ip_program()?, ["-4", "route", "show", "table", "all"]), interrupt)?;
    let taken = |network: &Network| {
        let prefixes = [format!("10.210.{}.", network.0), format!("10.{}.", 100 + network.0)];
        routes.split_whitespace().any(|word| prefixes.iter().any(|prefix| word.starts_with(prefix)))
    };
    match Network::all().find(|network| !taken(network)) {
        Some(network) => Ok(network),
        None => bail!("this machine has routes into every network a cluster could use (10.210.0.0/24 and following)"),
    }
}

pub(crate) fn create(instance: &Instance, network: Network, nodes: u8, interrupt: &Interrupt) -> anyhow::Result<()> {
    let ip = |arguments: &str| ip(arguments, interrupt);
    let (control, host) = (instance.control_namespace(), instance.prefix());
    ip(&format!("netns add {control}"))?;
    ip(&format!("-n {control} link set lo up"))?;
    ip(&format!("-n {control} link add {BRIDGE} type bridge"))?;
    ip(&format!("-n {control} addr add {}/24 dev {BRIDGE}", network.control()))?;
    ip(&format!("-n {control} link set {BRIDGE} up"))?;
    ip(&format!("-n {control} route add default via {}", network.host()))?;
    ip(&format!("link add {host} type veth peer name host netns {control}"))?;
    ip(&format!("-n {control} link set host master {BRIDGE} up"))?;
    ip(&format!("addr add {}/24 dev {host}", network.host()))?;
    ip(&format!("link set {host} up"))?;
    for node in Node::first(nodes) {
        let (namespace, name) = (instance.node_namespace(node), node.name());
        ip(&format!("netns add {namespace}"))?;
        ip(&format!("-n {namespace} link set lo up"))?;
        ip(&format!("-n {control} link add {name} type veth peer name eth0 netns {namespace}"))?;
        ip(&format!("-n {control} link set {name} master {BRIDGE} up"))?;
        ip(&format!("-n {namespace} addr add {}/24 dev eth0", network.node(node)))?;
        ip(&format!("-n {namespace} link set eth0 up"))?;
        ip(&format!("-n {namespace} route add default via {}", network.host()))?;
        for other in Node::first(nodes).filter(|other| *other != node) {
            ip(&format!("-n {namespace} route add {} via {}", network.pods_of(other), network.node(other)))?;
        }
        // Nodes route between the bridge of their pods and each other.
        let forward = format!("--net={NAMESPACES}/{namespace}");
        output(&mut command("nsenter", [&forward, "sysctl", "-qw", "net.ipv4.ip_forward=1"]), interrupt)?;
        let pods = format!("route add {} via {}", network.pods_of(node), network.node(node));
        ip(&pods)?;
        ip(&format!("-n {control} {pods}"))?;
    }
    Ok(())
}

/// Removes what is there, whoever still uses it. Best effort, and without looking at signals: a signal leads here.
pub(crate) fn remove(instance: &Instance) {
    let Ok(ip) = ip_program() else { return };
    let _ = command(&ip, ["link", "del", &instance.prefix()]).output();
    for name in namespaces(instance) {
        let _ = command(&ip, ["netns", "del", &name]).output();
    }
}

/// The network namespaces of the cluster that exist.
pub(crate) fn namespaces(instance: &Instance) -> Vec<String> {
    let entries = fs::read_dir(NAMESPACES).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let prefix = format!("{}-", instance.prefix());
    names.filter(|name| name.starts_with(&prefix)).collect()
}

/// Whether the host's interface is there.
pub(crate) fn exists(instance: &Instance) -> bool {
    Path::new("/sys/class/net").join(instance.prefix()).exists()
}

/// The file by which a namespace is entered.
pub(crate) fn namespace_file(name: &str) -> String {
    format!("{NAMESPACES}/{name}")
}

fn ip(arguments: &str, interrupt: &Interrupt) -> anyhow::Result<()> {
    output(&mut command(ip_program()?, arguments.split(' ')), interrupt).map(drop)
}

fn ip_program() -> anyhow::Result<std::path::PathBuf> {
    install::find("ip").context("ip is not installed: apt-get install iproute2")
}
