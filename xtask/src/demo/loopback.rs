//! Everything on loopback ports: for those who are not root.

use super::place::{DIES_WITH_US, Place, Role, Version};
use std::{
    ffi::OsStr,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
    process::Command,
};

/// A place without walls.
pub(crate) struct Loopback {
    traffic: SocketAddr,
    admin: SocketAddr,
}

impl Loopback {
    pub(crate) fn new() -> Self {
        // 8080 is what a reader expects; anything else does as well.
        Self { traffic: free_port(8080), admin: free_port(15000) }
    }
}

/// The preferred port, or one that was free a moment ago.
fn free_port(preferred: u16) -> SocketAddr {
    let at = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).and_then(|listener| listener.local_addr());
    let fallback = SocketAddr::from((Ipv4Addr::LOCALHOST, preferred));
    at(preferred).or_else(|_| at(0)).unwrap_or(fallback)
}

impl Place for Loopback {
    fn command(&self, _: Role, program: &OsStr) -> Command {
        let mut command = Command::new(DIES_WITH_US[0]);
        command.args(&DIES_WITH_US[1..]).arg("--").arg(program);
        command
    }

    fn backend_address(&self, version: Version) -> SocketAddr {
        // An address each, as pods have; all of 127.0.0.0/8 is loopback.
        let last = match version {
            Version::V1 => 11,
            Version::V2 => 12,
            Version::V3 => 13,
        };
        SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), 0))
    }

    fn traffic(&self) -> SocketAddr {
        self.traffic
    }

    fn admin(&self) -> SocketAddr {
        self.admin
    }

    fn cgroup(&self) -> Option<&Path> {
        None
    }

    fn caller_prefix(&self) -> String {
        String::new()
    }
}
