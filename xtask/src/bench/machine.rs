//! Where figures are from: enough to judge them, nothing that names anybody's machine.

use super::tools::Tools;
use crate::image::Profile;
use serde_json::{Map, Value, json};
use std::{fs, process::Command};

#[derive(Clone, Debug)]
pub(super) struct Machine {
    date: String,
    kernel: String,
    cpu: String,
    cpus: usize,
    memory_gib: u64,
    profile: &'static str,
    commit: String,
    versions: Vec<(&'static str, String)>,
}

impl Machine {
    pub(super) fn look(tools: &Tools, profile: Profile) -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let cpuinfo = read("/proc/cpuinfo");
        let cpu = cpuinfo.lines().find_map(|line| line.strip_prefix("model name\t: ")).unwrap_or("unknown").to_owned();
        let memory = read("/proc/meminfo");
        let kilobytes = memory
            .lines()
            .find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        Self {
            date: printed("date", &["-u", "+%Y-%m-%d"]),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            cpu,
            cpus: cpuinfo.lines().filter(|line| line.starts_with("processor")).count(),
            memory_gib: kilobytes.unwrap_or(0).div_ceil(1 << 20),
            profile: profile.name(),
            commit: printed("git", &["describe", "--always", "--dirty"]),
            versions: tools.versions.clone(),
        }
    }

    pub(super) fn json(&self) -> Value {
        let versions: Map<String, Value> =
            self.versions.iter().map(|(name, version)| ((*name).to_owned(), version.clone().into())).collect();
        json!({
            "date": self.date,
            "kernel": self.kernel,
            "cpu": self.cpu,
            "cpus": self.cpus,
            "memory_gib": self.memory_gib,
            "profile": self.profile,
            "commit": self.commit,
            "versions": versions,
        })
    }

    /// For people.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = vec![
            format!("{} at commit {}, profile {}", self.date, self.commit, self.profile),
            format!("Linux {}, {} CPUs ({}), {} GiB", self.kernel, self.cpus, self.cpu, self.memory_gib),
        ];
        lines.extend(self.versions.iter().map(|(name, version)| format!("{name}: {version}")));
        lines
    }
}

/// What a command prints, or nothing.
fn printed(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).current_dir(crate::workspace::root()).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}
