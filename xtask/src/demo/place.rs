//! Where the parts of the demo run: namespaces for root, loopback for everybody else.

use anyhow::Context;
use std::{
    ffi::OsStr,
    fs,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    process::Command,
};

/// A part of the demo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Caller,
    Gateway,
    Reviews(Version),
}

/// A version of the reviews service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    V1,
    V2,
    V3,
}

impl Version {
    pub(crate) const ALL: [Self; 3] = [Self::V1, Self::V2, Self::V3];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
            Self::V3 => "v3",
        }
    }

    /// As the replica sets of Bookinfo name their pods.
    pub(crate) fn pod(self) -> &'static str {
        match self {
            Self::V1 => "reviews-v1-545db77b95-7xqjp",
            Self::V2 => "reviews-v2-7bf8c9648f-lmf5z",
            Self::V3 => "reviews-v3-84779c7bbc-r2w8k",
        }
    }
}

/// Addresses, and how to run a program where a role lives. Dropping a place removes whatever was made for it.
pub(crate) trait Place {
    /// A command that runs `program` as `role`, and dies with us however we die.
    fn command(&self, role: Role, program: &OsStr) -> Command;

    /// Where a backend listens; port 0 lets the kernel choose.
    fn backend_address(&self, version: Version) -> SocketAddr;

    /// The port behind port 80 of the article's Gateway.
    fn traffic(&self) -> SocketAddr;

    /// Of the gateway, reachable from the gateway's own role.
    fn admin(&self) -> SocketAddr;

    /// cgroup of everything that runs here, where there is one.
    fn cgroup(&self) -> Option<&Path>;

    /// What to type before `curl` to be the caller.
    fn caller_prefix(&self) -> String;
}

/// `setpriv` lets a program be killed when its parent dies, even by SIGKILL.
pub(crate) const DIES_WITH_US: [&str; 3] = ["setpriv", "--pdeathsig", "KILL"];

const RUN_DIRECTORY: &str = "demo-";

/// A directory for the objects and logs of this run; removed on drop.
pub(crate) struct RunDirectory(PathBuf);

impl RunDirectory {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let target = crate::workspace::target();
        remove_stale(&target);
        let path = target.join(format!("{RUN_DIRECTORY}{}", std::process::id()));
        fs::create_dir_all(&path).with_context(|| format!("create {}", path.display()))?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for RunDirectory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Directories of runs that were killed.
fn remove_stale(target: &Path) {
    for entry in fs::read_dir(target).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.strip_prefix(RUN_DIRECTORY).is_some_and(|pid| !is_running(pid)) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Whether `pid` is a process of this program. What is no process id counts as running: it is none of ours.
pub(crate) fn is_running(pid: &str) -> bool {
    let Ok(pid) = pid.parse::<u32>() else { return true };
    fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "xtask")
}

/// `http://host/path`, without the port where it is 80.
pub(crate) fn url(address: SocketAddr, path: &str) -> String {
    let host = match address.ip() {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    };
    if address.port() == 80 {
        format!("http://{host}{path}")
    } else {
        format!("http://{host}:{}{path}", address.port())
    }
}
