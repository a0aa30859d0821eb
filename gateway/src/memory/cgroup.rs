//! How much memory the cgroup of this process may take, and how much it takes: past that the kernel kills.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The files of one cgroup, of either version (the kernel's admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryCgroup {
    limit: PathBuf,
    usage: PathBuf,
    statistics: PathBuf,
    /// Pages of files in the statistics: the kernel takes them back before it kills anybody.
    files: [&'static str; 2],
}

/// Bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryLoad {
    pub taken: u64,
    pub limit: u64,
}

impl MemoryCgroup {
    /// `None` where nobody accounts for memory.
    pub fn of_this_process() -> Option<Self> {
        let text = |path| fs::read_to_string(path).ok();
        Self::of(&text("/proc/self/cgroup")?, &text("/proc/self/mountinfo")?)
    }

    /// From `/proc/self/cgroup` and `/proc/self/mountinfo`.
    fn of(groups: &str, mounts: &str) -> Option<Self> {
        let lines = || groups.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
        // A hierarchy of version 1 has the memory, where there is one.
        let legacy = lines().find(|(controllers, _)| controllers.split(',').any(|controller| controller == "memory"));
        let (kind, group) = match legacy {
            Some((_, group)) => ("cgroup", group),
            None => ("cgroup2", lines().find(|(controllers, _)| controllers.is_empty())?.1),
        };
        let directory = mounts.lines().find_map(|line| directory(line, kind, group))?;
        Some(match legacy {
            Some(_) => Self {
                limit: directory.join("memory.limit_in_bytes"),
                usage: directory.join("memory.usage_in_bytes"),
                statistics: directory.join("memory.stat"),
                files: ["total_inactive_file", "total_active_file"],
            },
            None => Self {
                limit: directory.join("memory.max"),
                usage: directory.join("memory.current"),
                statistics: directory.join("memory.stat"),
                files: ["inactive_file", "active_file"],
            },
        })
    }

    /// `None` without a limit: version 2 says `max`, version 1 more than there is.
    pub fn load(&self) -> Option<MemoryLoad> {
        let number = |path: &Path| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
        let limit = number(&self.limit).filter(|limit| *limit < u64::MAX / 4)?;
        let usage = number(&self.usage)?;
        let statistics = fs::read_to_string(&self.statistics).ok()?;
        Some(MemoryLoad { taken: usage.saturating_sub(self.of_files(&statistics)), limit })
    }

    fn of_files(&self, statistics: &str) -> u64 {
        let lines = statistics.lines().filter_map(|line| line.split_once(' '));
        lines.filter(|(name, _)| self.files.contains(name)).filter_map(|(_, bytes)| bytes.parse::<u64>().ok()).sum()
    }
}

impl MemoryLoad {
    /// Hundredths of the limit.
    pub fn percent(self) -> u64 {
        self.taken.saturating_mul(100) / self.limit.max(1)
    }
}

/// Where `group` is, if `line` of mountinfo (proc_pid_mountinfo(5)) is a mount of the hierarchy. A container may see no more
/// than its own part of one, as the root of the mount.
fn directory(line: &str, kind: &str, group: &str) -> Option<PathBuf> {
    let (place, what) = line.split_once(" - ")?;
    let mut what = what.split(' ');
    let is_it = what.next()? == kind && (kind == "cgroup2" || what.nth(1)?.split(',').any(|option| option == "memory"));
    let mut place = place.split(' ').skip(3);
    let (root, mount_point) = (place.next()?, Path::new(place.next()?));
    let within = Path::new(group).strip_prefix(root).unwrap_or_else(|_elsewhere| Path::new(""));
    is_it.then(|| mount_point.join(within))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_either_version_are_found() {
        let limit = |groups: &str, mounts: &str| MemoryCgroup::of(groups, mounts).map(|group| group.limit);
        let unified = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";
        assert_eq!(limit("0::/a/b\n", unified), Some(PathBuf::from("/sys/fs/cgroup/a/b/memory.max")));
        let container = "30 23 0:26 /kubepods/pod1/c1 /sys/fs/cgroup ro - cgroup2 cgroup rw\n";
        assert_eq!(limit("0::/kubepods/pod1/c1\n", container), Some(PathBuf::from("/sys/fs/cgroup/memory.max")));
        assert_eq!(limit("0::/\n", unified), Some(PathBuf::from("/sys/fs/cgroup/memory.max")));
        let hybrid = "31 23 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
            35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
            36 31 0:33 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        let groups = "4:memory:/x\n1:cpu:/y\n0::/\n";
        assert_eq!(limit(groups, hybrid), Some(PathBuf::from("/sys/fs/cgroup/memory/x/memory.limit_in_bytes")));
        assert_eq!(limit("", unified), None);
        assert_eq!(limit("0::/\n", ""), None);
    }

    #[test]
    fn files_can_be_taken_back() {
        let mounts = "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        let group = MemoryCgroup::of("0::/", mounts).expect("a cgroup");
        assert_eq!(group.of_files("anon 5\nfile 40\ninactive_file 10\nactive_file 20\n"), 30);
        assert_eq!(MemoryLoad { taken: 45, limit: 50 }.percent(), 90);
        assert_eq!(MemoryLoad { taken: 1, limit: 0 }.percent(), 100);
    }
}
