//! Where it happens: caller, gateway and pods in network namespaces around a router, as on a node.
//!
//! ```text
//!  caller  10.244.1.2 ─┐
//!  gateway 10.244.2.2 ─┼─ router
//!  pods    10.244.3.2 ─┘
//! ```

use super::{
    cgroup::Cgroup,
    namespace::Namespace,
    program::{Program, Start},
};
use crate::interrupt::Interrupt;
use anyhow::Context;
use std::path::{Path, PathBuf};

/// The address of the gateway and of every peer.
pub(super) const NODE: &str = "10.244.2.2";
/// The address of the pods.
pub(super) const PODS: &str = "10.244.3.2";

/// Namespaces, cgroup and a directory; nothing of it outlives this value.
pub(super) struct Place {
    pub(super) caller: Namespace,
    pub(super) node: Namespace,
    pub(super) pods: Namespace,
    _router: Namespace,
    pub(super) cgroup: Cgroup,
    directory: Directory,
}

/// Where a program stands towards the kernel's programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// In the cgroup that our programs watch.
    Inside,
    /// Outside of it: no program of ours runs for its sockets, whoever it talks to.
    Outside,
}

impl Place {
    pub(super) fn new(interrupt: &Interrupt) -> anyhow::Result<Self> {
        let place = Self {
            caller: Namespace::new()?,
            node: Namespace::new()?,
            pods: Namespace::new()?,
            _router: Namespace::new()?,
            cgroup: Cgroup::new()?,
            directory: Directory::new()?,
        };
        let router = &place._router;
        for (number, namespace) in (1..).zip([&place.caller, &place.node, &place.pods]) {
            let peer = namespace.path();
            router.ip(&format!("link add r{number} type veth peer name eth0 netns {}", peer.display()), interrupt)?;
            router.ip(&format!("addr add 10.244.{number}.1/24 dev r{number}"), interrupt)?;
            router.ip(&format!("link set r{number} up"), interrupt)?;
            namespace.ip(&format!("addr add 10.244.{number}.2/24 dev eth0"), interrupt)?;
            namespace.ip("link set eth0 up", interrupt)?;
            namespace.ip("link set lo up", interrupt)?;
            namespace.ip(&format!("route add default via 10.244.{number}.1"), interrupt)?;
            // As many connections a second as a cell likes.
            namespace.sysctl("net/ipv4/ip_local_port_range", "1024 65535")?;
            namespace.sysctl("net/ipv4/tcp_tw_reuse", "1")?;
            namespace.sysctl("net/core/somaxconn", "8192")?;
            namespace.sysctl("net/ipv4/tcp_max_syn_backlog", "8192")?;
        }
        router.sysctl("net/ipv4/ip_forward", "1")?;
        Ok(place)
    }

    /// For logs and generated files.
    pub(super) fn directory(&self) -> &Path {
        &self.directory.0
    }

    /// Starts a program in the namespace of the gateways.
    pub(super) fn on_node(&self, start: &Start<'_>) -> anyhow::Result<Program> {
        self.node.enter(|| Program::start(self, start))
    }

    /// Starts a program in the namespace of the pods.
    pub(super) fn among_pods(&self, start: &Start<'_>) -> anyhow::Result<Program> {
        self.pods.enter(|| Program::start(self, start))
    }
}

/// A directory that goes with this value.
struct Directory(PathBuf);

impl Directory {
    fn new() -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("node-gateway-bench-{}", std::process::id()));
        std::fs::create_dir_all(&path).with_context(|| format!("create {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
