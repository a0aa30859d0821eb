//! What a cluster has outside of itself, looked for by every sign it could be known by.

use super::lab::{Lab, NAME};
use harness::daemon::workspace;
use std::{
    collections::BTreeSet,
    fmt, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// What there is of the cluster, kind by kind.
pub(crate) struct Inventory(Vec<(&'static str, BTreeSet<String>)>);

impl Inventory {
    pub(crate) fn take(lab: &Lab) -> Self {
        let directory = lab.directory().display().to_string();
        Self(vec![
            ("processes", processes()),
            ("namespaces", names(Path::new("/run/netns"))),
            ("interfaces", names(Path::new("/sys/class/net"))),
            ("routes", lines(&["ip", "-4", "route", "show", "table", "all"], &[&interface()])),
            ("cgroups", cgroups()),
            ("mounts", mounts(&[&directory, &interface()])),
            ("packet filter", lines(&["iptables-save"], &[&interface(), "KUBE-"])),
            ("pins", names(Path::new("/sys/fs/bpf"))),
            ("files", files(&lab.containers.borrow())),
            ("directory", lab.directory().exists().then_some(directory).into_iter().collect()),
        ])
    }

    /// Whether this is what a running cluster looks like: an inventory that cannot see one says nothing when it is empty.
    pub(crate) fn is_a_cluster(&self) -> bool {
        let seen = |kind: &str| self.0.iter().any(|(name, found)| *name == kind && !found.is_empty());
        ["processes", "namespaces", "interfaces", "routes", "cgroups", "mounts", "directory"].into_iter().all(seen)
    }

    /// What only a host has that is not a node's alone: nothing of it may come from a node, running or not.
    pub(crate) fn assert_host_untouched(&self, lab: &Lab) {
        assert_eq!(settings(), lab.settings, "the kernel's settings are not a node's");
        let touched = |kind: &str| self.0.iter().any(|(name, found)| *name == kind && !found.is_empty());
        assert!(!["packet filter", "pins", "files"].into_iter().any(touched), "a node reaches into its host: {self}");
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.iter().all(|(_, found)| found.is_empty())
    }

    pub(crate) fn assert_empty(&self) {
        assert!(self.is_empty(), "something is left: {self}");
    }
}

impl fmt::Display for Inventory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = self.0.iter().filter(|(_, found)| !found.is_empty());
        let each = kinds.map(|(kind, found)| match found.len() {
            0..=5 => format!("{kind} {found:?}"),
            count => format!("{count} {kind}, such as {:?}", found.iter().next().unwrap_or(&String::new())),
        });
        f.write_str(&each.collect::<Vec<_>>().join("; "))
    }
}

/// The containers that run, by the last part of their cgroups.
pub(crate) fn containers() -> BTreeSet<String> {
    let cgroups = processes().into_iter().filter_map(|id| fs::read_to_string(format!("/proc/{id}/cgroup")).ok());
    let is_id = |name: &&str| name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    cgroups
        .flat_map(|text| {
            text.lines().filter_map(|line| line.rsplit('/').next()).filter(is_id).map(str::to_owned).collect::<Vec<_>>()
        })
        .collect()
}

/// What kubelet would set for the whole machine.
pub(crate) fn settings() -> Vec<String> {
    let names = ["vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops"];
    let value = |name| fs::read_to_string(format!("/proc/sys/{name}")).expect("a setting of the kernel");
    names.into_iter().map(|name| format!("{name} {}", value(name))).collect()
}

/// In front of all its names.
fn interface() -> String {
    format!("ngw-{NAME}")
}

/// Every living process that is in its cgroups or was started with its directory.
fn processes() -> BTreeSet<String> {
    let entries = fs::read_dir("/proc").expect("/proc").flatten();
    let ids =
        entries.filter_map(|entry| entry.file_name().into_string().ok()).filter(|name| name.parse::<u32>().is_ok());
    let is_ours = |id: &String| {
        let read = |file: &str| fs::read(format!("/proc/{id}/{file}")).unwrap_or_default();
        let text = |file: &str| String::from_utf8_lossy(&read(file)).into_owned();
        let is_alive = !text("stat").contains(") Z ");
        // Those who only speak of it, as this test does to cargo, are not of it.
        let clusters = format!("clusters/{NAME}/");
        is_alive && (text("cgroup").contains(&format!("/{}", interface())) || text("cmdline").contains(&clusters))
    };
    ids.filter(is_ours).collect()
}

/// What is in `directory` and bears its name.
fn names(directory: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).filter(|name| name.contains(NAME)).collect()
}

fn cgroups() -> BTreeSet<String> {
    let mounts = fs::read_to_string("/proc/self/mounts").expect("the mounts");
    let lines = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let points = lines.filter(|fields| fields[2].starts_with("cgroup")).map(|fields| PathBuf::from(fields[1]));
    points
        .map(|point| point.join(interface()))
        .filter(|path| path.exists())
        .map(|path| path.display().to_string())
        .collect()
}

fn mounts(words: &[&str]) -> BTreeSet<String> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("the mounts");
    mounts.lines().filter(|line| words.iter().any(|word| line.contains(word))).map(str::to_owned).collect()
}

/// What a program prints about the host's own network that contains one of `words`.
fn lines(program: &[&str], words: &[&str]) -> BTreeSet<String> {
    let output = Command::new(program[0]).args(&program[1..]).output();
    let output = output.unwrap_or_else(|error| panic!("{}: {error}", program[0]));
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().filter(|line| words.iter().any(|word| line.contains(word))).map(str::to_owned).collect()
}

/// Files outside its directory that bear its name, as the logs of its pods do, or a container's, as what network plugins
/// write. A checkout may be there too, and has its own.
fn files(containers: &BTreeSet<String>) -> BTreeSet<String> {
    let mut find = Command::new("find");
    find.args(["/var", "/run", "/etc", "/opt", "/tmp", "/dev/shm", "-xdev", "-path"]).arg(workspace());
    find.args(["-prune", "-o", "(", "-name"]).arg(format!("*{NAME}*"));
    for id in containers {
        find.args(["-o", "-name"]).arg(format!("*{id}*"));
    }
    find.args([")", "-print"]);
    // Files of others come and go while it looks, which makes it fail and matters to nobody here; namespaces are counted
    // on their own.
    let output = find.output().expect("find is installed");
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().filter(|path| !path.starts_with("/run/netns/")).map(str::to_owned).collect()
}
