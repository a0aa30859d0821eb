//! A network namespace for every part, joined by a bridge in a namespace of its own, and a cgroup around them all.
//!
//! Nothing is added to the host's own network. Names carry our process id, so that a later run recognises and removes what
//! a crashed one left.

use super::place::{DIES_WITH_US, Place, Role, Version, is_running};
use crate::{
    command::{command, output},
    install,
    interrupt::Interrupt,
};
use anyhow::Context;
use std::{
    ffi::OsStr,
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

const PREFIX: &str = "gwdemo-";
const NETNS: &str = "/run/netns";
const ROLES: [Role; 5] =
    [Role::Caller, Role::Gateway, Role::Reviews(Version::V1), Role::Reviews(Version::V2), Role::Reviews(Version::V3)];

/// Namespaces and cgroup; removed on drop.
pub(crate) struct Namespaces {
    prefix: String,
    cgroup: Option<PathBuf>,
}

impl Namespaces {
    pub(crate) fn new(interrupt: &Interrupt) -> anyhow::Result<Self> {
        remove_stale(interrupt)?;
        let prefix = format!("{PREFIX}{}", std::process::id());
        // From here on `drop` removes what has been made.
        let mut this = Self { prefix, cgroup: None };
        this.cgroup = cgroup2_root().map(|root| root.join(&this.prefix)).filter(|path| fs::create_dir(path).is_ok());

        let switch = format!("{}-switch", this.prefix);
        ip(&["netns", "add", &switch], interrupt)?;
        ip(&["-n", &switch, "link", "add", "bridge", "type", "bridge"], interrupt)?;
        ip(&["-n", &switch, "link", "set", "bridge", "up"], interrupt)?;
        for (index, role) in ROLES.into_iter().enumerate() {
            let (name, port) = (this.name(role), format!("port{index}"));
            ip(&["netns", "add", &name], interrupt)?;
            ip(
                &["-n", &switch, "link", "add", &port, "type", "veth", "peer", "name", "eth0", "netns", &name],
                interrupt,
            )?;
            ip(&["-n", &switch, "link", "set", &port, "master", "bridge", "up"], interrupt)?;
            ip(&["-n", &name, "addr", "add", &format!("{}/24", address(role)), "dev", "eth0"], interrupt)?;
            ip(&["-n", &name, "link", "set", "eth0", "up"], interrupt)?;
            ip(&["-n", &name, "link", "set", "lo", "up"], interrupt)?;
        }
        Ok(this)
    }

    pub(crate) fn count(&self) -> usize {
        ROLES.len() + 1
    }

    fn name(&self, role: Role) -> String {
        match role {
            Role::Caller => format!("{}-caller", self.prefix),
            Role::Gateway => format!("{}-gateway", self.prefix),
            Role::Reviews(version) => format!("{}-reviews-{}", self.prefix, version.name()),
        }
    }
}

/// In the range many clusters give their pods.
fn address(role: Role) -> Ipv4Addr {
    let last = match role {
        Role::Caller => 10,
        Role::Gateway => 1,
        Role::Reviews(Version::V1) => 11,
        Role::Reviews(Version::V2) => 12,
        Role::Reviews(Version::V3) => 13,
    };
    Ipv4Addr::new(10, 244, 0, last)
}

impl Place for Namespaces {
    fn command(&self, role: Role, program: &OsStr) -> Command {
        // The shell joins the cgroup before anything can open a socket; `nsenter`, because `ip netns exec` would mount a
        // fresh /sys that hides cgroups and BPF.
        let join = self.cgroup.as_ref().map(|path| format!("echo $$ > '{}/cgroup.procs' && ", path.display()));
        let script = format!(r#"{}exec "$@""#, join.unwrap_or_default());
        let mut command = Command::new("sh");
        command.args(["-c", &script, "sh", "nsenter"]).arg(format!("--net={NETNS}/{}", self.name(role)));
        command.arg("--").args(DIES_WITH_US).arg("--").arg(program);
        command
    }

    fn backend_address(&self, version: Version) -> SocketAddr {
        SocketAddr::from((address(Role::Reviews(version)), 9080))
    }

    fn traffic(&self) -> SocketAddr {
        SocketAddr::from((address(Role::Gateway), 80))
    }

    fn admin(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, 15000))
    }

    fn cgroup(&self) -> Option<&Path> {
        self.cgroup.as_deref()
    }

    fn caller_prefix(&self) -> String {
        format!("nsenter --net={NETNS}/{} ", self.name(Role::Caller))
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        remove(&self.prefix, self.cgroup.as_deref());
    }
}

fn ip(arguments: &[&str], interrupt: &Interrupt) -> anyhow::Result<()> {
    output(&mut command(ip_program(), arguments), interrupt).map(drop)
}

fn ip_program() -> PathBuf {
    install::find("ip").unwrap_or_else(|| "ip".into())
}

/// What runs of a process that is no more have left.
fn remove_stale(interrupt: &Interrupt) -> anyhow::Result<()> {
    let root = cgroup2_root();
    let directories = [Some(PathBuf::from(NETNS)), root.clone()].into_iter().flatten();
    let mut stale: Vec<String> =
        directories.flat_map(|directory| names(&directory)).filter_map(|name| stale_prefix(&name)).collect();
    stale.sort();
    stale.dedup();
    for prefix in stale {
        interrupt.check()?;
        remove(&prefix, root.as_ref().map(|root| root.join(&prefix)).as_deref());
    }
    Ok(())
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// `gwdemo-123` of `gwdemo-123-caller`, when process 123 is no demo.
fn stale_prefix(name: &str) -> Option<String> {
    let pid = name.strip_prefix(PREFIX)?.split('-').next()?;
    (!is_running(pid)).then(|| format!("{PREFIX}{pid}"))
}

/// Best effort, and without looking at signals: this is what a signal leads to. The programs have been ended before; what
/// a crashed run left was killed with it.
fn remove(prefix: &str, cgroup: Option<&Path>) {
    for name in names(Path::new(NETNS)).iter().filter(|name| name.starts_with(&format!("{prefix}-"))) {
        let _ = command(ip_program(), ["netns", "del", name]).output();
    }
    let Some(cgroup) = cgroup.filter(|path| path.is_dir()) else { return };
    // A cgroup stays busy for a moment after its last process was reaped. Nobody sends: the timeout is the pause.
    let (_sender, pause) = std::sync::mpsc::channel::<()>();
    for _ in 0..100 {
        if fs::remove_dir(cgroup).is_ok() {
            return;
        }
        let _ = pause.recv_timeout(Duration::from_millis(20));
    }
    eprintln!("cannot remove {}: something still runs in it", cgroup.display());
}

fn cgroup2_root() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").context("read the mounts").ok()?;
    let mut lines = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    lines.find_map(|fields| (fields.get(2) == Some(&"cgroup2")).then(|| PathBuf::from(fields[1])))
}
