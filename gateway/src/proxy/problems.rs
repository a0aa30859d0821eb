//! What this node could not do: ports that cannot be bound. Written by the listeners, read by status and admin.

use crate::model::{
    object::ObjectId,
    problem::{Problem, ProblemKind, Severity},
};
use parking_lot::Mutex;
use std::{collections::BTreeMap, io, net::SocketAddr, sync::Arc};

/// The problems of this node, by the address that has one. Cheap to clone; all clones are one list.
#[derive(Clone, Debug, Default)]
pub struct NodeProblems(Arc<Mutex<BTreeMap<SocketAddr, Problem>>>);

impl NodeProblems {
    pub fn new() -> Self {
        Self::default()
    }

    /// Every problem there is now, in the order of addresses.
    pub fn list(&self) -> Vec<Problem> {
        self.0.lock().values().cloned().collect()
    }

    /// What `gateway` wants could not be bound to `address`. Returns whether this is news.
    pub(super) fn bind_failed(&self, gateway: Option<&ObjectId>, address: SocketAddr, error: &io::Error) -> bool {
        let remedy = match error.kind() {
            io::ErrorKind::AddrInUse => "another process holds the port: find it with `ss -ltnp`, or use --port-map",
            io::ErrorKind::PermissionDenied => {
                "ports below 1024 need CAP_NET_BIND_SERVICE: grant it, or map the port with --port-map"
            }
            io::ErrorKind::AddrNotAvailable => "the address is not one of this node: see `bind` and --listen-address",
            _ => "the gateway tries again every second",
        };
        let problem = Problem {
            object: gateway.cloned(),
            source: None,
            path: String::new(),
            severity: Severity::Error,
            kind: ProblemKind::Node,
            message: format!("cannot listen on {address}: {error}; {remedy}"),
        };
        self.0.lock().insert(address, problem.clone()) != Some(problem)
    }

    /// `address` is bound, or no longer wanted.
    pub(super) fn resolved(&self, address: SocketAddr) {
        self.0.lock().remove(&address);
    }
}
