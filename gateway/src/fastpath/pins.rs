//! Where the maps and the link are pinned, so that the next daemon goes on with what this one leaves.
//!
//! ```text
//! <bpffs>/node-gateway/cgroup-<id>/v<layout version>-<layout hash>/gw_socks, gw_pairs, …, link
//! ```
//!
//! One directory a cgroup, because several nodes can share a kernel; one a layout, because maps of another layout must never
//! be taken for ours.

use super::{Unavailable, syscall};
use gateway_ebpf::{Info, LAYOUT_VERSION, MAPS};
use std::{
    fs, io,
    os::{fd::AsFd as _, unix::fs::MetadataExt as _},
    path::{Path, PathBuf},
};

/// The directory of everything of ours.
const OURS: &str = "node-gateway";
/// The link's name beside the maps.
const LINK: &str = "link";

/// The directory of one cgroup and one layout. Dropping it leaves everything where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pins {
    directory: PathBuf,
}

impl Pins {
    /// The directory for `cgroup`, made if need be. `None` where no BPF file system is mounted: then everything goes with
    /// the process.
    ///
    /// # Errors
    /// [`Unavailable::Pins`] when the directory cannot be made.
    pub(super) fn open(cgroup: &Path) -> Result<Option<Self>, Unavailable> {
        let Some(bpffs) = bpffs() else { return Ok(None) };
        let directory = of_cgroup(&bpffs, cgroup)
            .map(|of_cgroup| of_cgroup.join(format!("v{LAYOUT_VERSION}-{:08x}", Info::LAYOUT_HASH)))
            .and_then(|directory| fs::create_dir_all(&directory).map(|()| directory))
            .map_err(|source| Unavailable::Pins { path: bpffs.join(OURS), source })?;
        Ok(Some(Self { directory }))
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(super) fn link(&self) -> PathBuf {
        self.directory.join(LINK)
    }

    /// The path of every map, by name.
    pub(super) fn maps(&self) -> impl Iterator<Item = (&'static str, PathBuf)> {
        MAPS.into_iter().map(|name| (name, self.directory.join(name)))
    }

    /// Removes this directory and everything in it. The kernel keeps what is still in use.
    pub(super) fn remove(&self) -> io::Result<()> {
        remove_directory(&self.directory)
    }

    /// Removes what daemons with another layout have left for the same cgroup, and returns which directories those were.
    pub(super) fn remove_others(&self) -> Vec<PathBuf> {
        let siblings = self.directory.parent().map(directories).unwrap_or_default();
        siblings.into_iter().filter(|path| *path != self.directory && remove_directory(path).is_ok()).collect()
    }
}

/// Removes what was pinned for cgroups that have gone, with whose end the kernel detached it.
pub(super) fn remove_stale() {
    for directory in existing(None).unwrap_or_default() {
        let gone = syscall::open_pin(&directory.join(LINK)).and_then(|link| syscall::cgroup_of(link.as_fd()));
        if gone.is_ok_and(|cgroup| cgroup == 0) && remove_directory(&directory).is_ok() {
            tracing::info!("removed {}: its cgroup has gone", directory.display());
        }
    }
}

/// The directories of every layout of `cgroup`, or of all cgroups.
pub(super) fn existing(cgroup: Option<&Path>) -> io::Result<Vec<PathBuf>> {
    let Some(bpffs) = bpffs() else { return Ok(Vec::new()) };
    let of_cgroups = match cgroup {
        Some(cgroup) => vec![of_cgroup(&bpffs, cgroup)?],
        None => directories(&bpffs.join(OURS)),
    };
    Ok(of_cgroups.iter().flat_map(|path| directories(path)).collect())
}

/// Removes a directory of pins, and its parents of ours when they are empty then. It may have gone already: a daemon of
/// another layout has removed it.
pub(super) fn remove_directory(directory: &Path) -> io::Result<()> {
    // The link first: from then on no new socket is taken in.
    remove_pin(&directory.join(LINK))?;
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        remove_pin(&entry?.path())?;
    }
    fs::remove_dir(directory)?;
    for parent in directory.ancestors().skip(1).take(2) {
        // Not empty while another layout, or another cgroup, is in use.
        if fs::remove_dir(parent).is_err() {
            break;
        }
    }
    Ok(())
}

fn remove_pin(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn directories(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

/// A cgroup's id is its inode number, and never used twice while the kernel runs.
fn of_cgroup(bpffs: &Path, cgroup: &Path) -> io::Result<PathBuf> {
    Ok(bpffs.join(OURS).join(format!("cgroup-{}", fs::metadata(cgroup)?.ino())))
}

/// The first BPF file system among the mounts: this thread's, by which its paths are followed (mount_namespaces(7)).
fn bpffs() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/thread-self/mounts").ok()?;
    bpffs_mount(&mounts)
}

fn bpffs_mount(mounts: &str) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let mut fields = line.split(' ');
        let (_device, mount_point, kind) = (fields.next()?, fields.next()?, fields.next()?);
        (kind == "bpf").then(|| PathBuf::from(mount_point))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bpf_file_system_is_found_among_the_mounts() {
        let mounts = "sysfs /sys sysfs rw 0 0\nbpf /sys/fs/bpf bpf rw,relatime 0 0\n";
        assert_eq!(bpffs_mount(mounts), Some(PathBuf::from("/sys/fs/bpf")));
        assert_eq!(bpffs_mount("sysfs /sys sysfs rw 0 0\n"), None);
    }
}
