//! What a run has outside of itself, by every sign it could be known by.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

/// What belongs to the run of one process.
#[derive(Debug)]
pub(crate) struct Inventory {
    directory: PathBuf,
    cgroup: PathBuf,
    /// Where the kernel keeps what our gateway has pinned for that cgroup. Without a bpffs it pins nothing.
    pins: Option<PathBuf>,
    processes: BTreeSet<u32>,
}

impl Inventory {
    /// `None` while there is no cgroup.
    pub(crate) fn take(process: u32) -> Option<Self> {
        let mounts = fs::read_to_string("/proc/self/mounts").expect("the mounts");
        let mounted = |kind: &str| {
            let mut lines = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
            lines.find(|fields| fields[2] == kind).map(|fields| PathBuf::from(fields[1]))
        };
        let hierarchy = mounted("cgroup2").expect("a cgroup2 hierarchy");
        let cgroup = hierarchy.join(format!("gwbench-{process}"));
        let inode = fs::metadata(&cgroup).ok()?.ino();
        let directory = std::env::temp_dir().join(format!("node-gateway-bench-{process}"));
        Some(Self {
            processes: processes(&directory),
            directory,
            cgroup,
            pins: mounted("bpf").map(|bpffs| bpffs.join("node-gateway").join(format!("cgroup-{inode}"))),
        })
    }

    /// Whether this is what a run looks like with everybody in it: an inventory that cannot see one says nothing later.
    pub(crate) fn is_a_run(&self) -> bool {
        // Pods twice, ours twice, Envoy, HAProxy, nginx, and the load.
        self.processes.len() >= 7 && self.pins.as_ref().is_none_or(|pins| pins.exists()) && self.directory.exists()
    }

    /// Whether nothing of it is left.
    pub(crate) fn is_gone(&self) -> bool {
        let lives = |process: &u32| {
            fs::read_to_string(format!("/proc/{process}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
        };
        !self.directory.exists()
            && !self.cgroup.exists()
            && !self.pins.as_ref().is_some_and(|pins| pins.exists())
            && !self.processes.iter().any(lives)
            && processes(&self.directory).is_empty()
    }
}

/// Every process that was started with a file of the run.
fn processes(directory: &Path) -> BTreeSet<u32> {
    let name = directory.display().to_string();
    let entries = fs::read_dir("/proc").expect("/proc").flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let speaks_of_it = |id: &u32| {
        String::from_utf8_lossy(&fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default()).contains(&name)
    };
    ids.filter(speaks_of_it).collect()
}
