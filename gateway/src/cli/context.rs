//! The flags that say which gateway this is: the same for the daemon and for every offline command.

use crate::{
    model::object::Labels,
    routing::{
        address_guard::{AddressBlock, AddressGuard},
        compiler::CompileSettings,
    },
};
use clap::Args;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Who the gateway is.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Context")]
pub struct ContextArgs {
    /// Labels of the gateway's pods, which Gateway objects select; and of further gateways that it is as well, each behind a
    /// Service that carries them (repeatable; in the environment separated by ;)
    #[arg(long, value_name = "KEY=VALUE,…", default_value = "istio=ingressgateway", value_delimiter = ';', value_parser = labels, env = "GATEWAY_GATEWAY_LABELS")]
    pub gateway_labels: Vec<Labels>,
    /// Namespace of the gateway's pods
    #[arg(long, value_name = "NAMESPACE", default_value = "istio-system", value_parser = name, env = "GATEWAY_GATEWAY_NAMESPACE")]
    pub gateway_namespace: Arc<str>,
    /// Domain of the cluster's short names
    #[arg(long, value_name = "DOMAIN", default_value = "cluster.local", value_parser = name, env = "GATEWAY_CLUSTER_DOMAIN")]
    pub cluster_domain: Arc<str>,
    /// Istio's root namespace, whose objects apply to the whole mesh
    #[arg(long, value_name = "NAMESPACE", default_value = "istio-system", value_parser = name, env = "GATEWAY_ROOT_NAMESPACE")]
    pub root_namespace: Arc<str>,
    /// Bind another port than the Gateway says (repeatable)
    #[arg(long, value_name = "PORT=PORT", value_delimiter = ',', value_parser = port_pair, env = "GATEWAY_PORT_MAP")]
    pub port_map: Vec<(u16, u16)>,
    /// Blocks of addresses that ServiceEntries may lead to although they are refused by default: loopback, link-local,
    /// metadata services, the node's own and the API server's (repeatable)
    #[arg(long, value_name = "CIDR", value_delimiter = ',', value_parser = block, env = "GATEWAY_ALLOW_ADDRESSES")]
    pub allow_addresses: Vec<AddressBlock>,
}

impl ContextArgs {
    /// The compiler's settings.
    ///
    /// # Errors
    /// When a port is mapped twice.
    pub fn compile_settings(&self) -> Result<CompileSettings, String> {
        let mut port_map = BTreeMap::new();
        for (from, to) in &self.port_map {
            if let Some(other) = port_map.insert(*from, *to)
                && other != *to
            {
                return Err(format!("--port-map maps port {from} to both {other} and {to}; keep one of them"));
            }
        }
        Ok(CompileSettings {
            gateway_labels: self.gateway_labels.first().cloned().unwrap_or_default(),
            roles: self.gateway_labels.iter().skip(1).cloned().collect(),
            gateway_namespace: Arc::clone(&self.gateway_namespace),
            root_namespace: Arc::clone(&self.root_namespace),
            cluster_domain: Arc::clone(&self.cluster_domain),
            port_map,
            node: "".into(),
            address_guard: AddressGuard { own: BTreeSet::new(), allowed: self.allow_addresses.clone() },
        })
    }
}

fn labels(text: &str) -> Result<Labels, String> {
    text.split(',')
        .filter(|pair| !pair.is_empty())
        .map(|pair| match pair.split_once('=') {
            Some((key, value)) if !key.is_empty() => Ok((key.trim().into(), value.trim().into())),
            _ => Err(format!("{pair:?} is no label; write key=value")),
        })
        .collect()
}

fn port_pair(text: &str) -> Result<(u16, u16), String> {
    let wrong = || format!("{text:?} is no port map; write GATEWAY_PORT=BOUND_PORT, for example 80=8080");
    let (from, to) = text.split_once('=').ok_or_else(wrong)?;
    match (from.trim().parse(), to.trim().parse()) {
        (Ok(from), Ok(to)) if from != 0 && to != 0 => Ok((from, to)),
        _ => Err(wrong()),
    }
}

fn block(text: &str) -> Result<AddressBlock, String> {
    AddressBlock::parse(text)
        .ok_or_else(|| format!("{text:?} is no block of addresses; write 10.0.0.0/8 or an address"))
}

fn name(text: &str) -> Result<Arc<str>, String> {
    if text.is_empty() || text.chars().any(|c| c.is_whitespace() || c == '/') {
        return Err("a name has at least one character, no space and no slash".to_owned());
    }
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_pairs() {
        let read = labels("istio=ingressgateway,app=edge,empty=").unwrap();
        let read: Vec<_> = read.iter().map(|(key, value)| (&**key, &**value)).collect();
        assert_eq!(read, [("app", "edge"), ("empty", ""), ("istio", "ingressgateway")]);
        assert_eq!(labels("").unwrap().len(), 0);
        assert!(labels("istio").unwrap_err().contains("key=value"));
        assert!(labels("=x").is_err());
    }

    #[test]
    fn ports_are_pairs_of_numbers() {
        assert_eq!(port_pair("80=8080"), Ok((80, 8080)));
        for wrong in ["80", "80=", "0=8080", "80=0", "80=65536", "a=b", "80:8080"] {
            assert!(port_pair(wrong).unwrap_err().contains("80=8080"), "{wrong}");
        }
    }

    #[test]
    fn names_are_names() {
        assert!(name("istio-system").is_ok());
        assert!(name("").is_err() && name("a b").is_err() && name("a/b").is_err());
    }
}
