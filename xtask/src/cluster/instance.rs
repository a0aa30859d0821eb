//! What belongs to one cluster: every name and address follows from the cluster's own name and the number of its network.

use crate::programs::cache;
use anyhow::{Context, ensure};
use std::{
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
};

/// Names of interfaces have 15 characters, and `ngw-` is in front.
const LONGEST_NAME: usize = 11;

/// A cluster, whether it runs or not.
#[derive(Clone, Debug)]
pub(crate) struct Instance {
    name: String,
    directory: PathBuf,
}

impl Instance {
    /// # Errors
    /// When the name cannot be part of the name of an interface, or would look like another cluster's with a suffix.
    pub(crate) fn named(name: &str) -> anyhow::Result<Self> {
        let fine = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        ensure!(
            !name.is_empty() && name.len() <= LONGEST_NAME && name.bytes().all(fine),
            "a cluster cannot be named {name:?}: give it 1 to {LONGEST_NAME} lower-case letters and digits"
        );
        Ok(Self { name: name.to_owned(), directory: clusters()?.join(name) })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Everything the cluster has on disk is in here.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.path("kubeconfig")
    }

    /// What each log, and whatever a person reads after a failure, is in.
    pub(crate) fn logs(&self) -> PathBuf {
        self.path("logs")
    }

    /// In front of everything that is not in [`Self::directory`]: namespaces, the host's interface, cgroups.
    pub(crate) fn prefix(&self) -> String {
        format!("ngw-{}", self.name)
    }

    /// The network namespace of etcd, the API server, the controllers, CoreDNS and Istio's control plane.
    pub(crate) fn control_namespace(&self) -> String {
        format!("{}-control", self.prefix())
    }

    pub(crate) fn node_namespace(&self, node: Node) -> String {
        format!("{}-{}", self.prefix(), node.name())
    }

    pub(crate) fn node_directory(&self, node: Node) -> PathBuf {
        self.path(&node.name())
    }

    pub(crate) fn containerd_socket(&self, node: Node) -> PathBuf {
        self.node_directory(node).join("containerd.sock")
    }
}

/// Where all clusters of this user are.
fn clusters() -> anyhow::Result<PathBuf> {
    let clusters = cache::root()?.join("clusters");
    fs::create_dir_all(&clusters).with_context(|| format!("create {}", clusters.display()))?;
    Ok(clusters)
}

/// A node by its number, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Node(pub(crate) u8);

impl Node {
    pub(crate) fn first(count: u8) -> impl Iterator<Item = Self> + Clone {
        (1..=count).map(Self)
    }

    pub(crate) fn name(self) -> String {
        format!("node{}", self.0)
    }
}

/// The addresses of a cluster: `10.210.K.0/24` for its nodes and `10.(100+K).N.0/24` for the pods of node N.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Network(pub(crate) u8);

/// Service addresses; they mean something only inside the nodes, so every cluster can have the same.
pub(crate) const SERVICES: &str = "10.96.0.0/16";
/// The first address of [`SERVICES`], which Kubernetes gives its own API.
pub(crate) const API_SERVICE: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 1);
pub(crate) const DNS_SERVICE: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 10);

impl Network {
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        (0..100).map(Self)
    }

    /// The machine itself, as the cluster sees it.
    pub(crate) fn host(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 210, self.0, 1)
    }

    pub(crate) fn control(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 210, self.0, 2)
    }

    pub(crate) fn node(self, node: Node) -> Ipv4Addr {
        Ipv4Addr::new(10, 210, self.0, 10 + node.0)
    }

    pub(crate) fn nodes(self) -> String {
        format!("10.210.{}.0/24", self.0)
    }

    pub(crate) fn pods(self) -> String {
        format!("10.{}.0.0/16", 100 + self.0)
    }

    pub(crate) fn pods_of(self, node: Node) -> String {
        format!("10.{}.{}.0/24", 100 + self.0, node.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_an_interface() {
        assert!(Instance::named("lifecycle").is_ok());
        for bad in ["", "a-b", "Dev", "../etc", "twelveletters"] {
            assert!(Instance::named(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn networks_do_not_meet() {
        let (a, b) = (Network(0), Network(99));
        assert_eq!((a.nodes(), a.pods_of(Node(2))), ("10.210.0.0/24".to_owned(), "10.100.2.0/24".to_owned()));
        assert_eq!((b.node(Node(1)).to_string(), b.pods()), ("10.210.99.11".to_owned(), "10.199.0.0/16".to_owned()));
    }
}
