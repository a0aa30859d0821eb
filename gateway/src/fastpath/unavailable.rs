//! Why the kernel cannot help, in words an operator can act on.

use super::self_test::Mismatch;
use std::{io, path::PathBuf};

/// The reason why no program runs in the kernel. Each message ends with the remedy, where there is one.
#[derive(Debug, thiserror::Error)]
pub enum Unavailable {
    #[error("switched off by --fastpath off")]
    Off,
    #[error("built without the BPF object: run cargo xtask build-ebpf")]
    NotBuilt,
    #[error("cannot load BPF programs without {missing}: run as root, or grant the capabilities")]
    MissingCapabilities { missing: String },
    #[error("this kernel has no BTF ({path}: {source}): it was built without CONFIG_DEBUG_INFO_BTF")]
    NoBtf { path: &'static str, source: io::Error },
    #[error("this kernel is not as the guard knows it: {field} cannot be read")]
    Fields { field: &'static str },
    #[error("no cgroup2 hierarchy is mounted: mount one at /sys/fs/cgroup or /sys/fs/cgroup/unified")]
    NoCgroup,
    #[error("cannot open the cgroup {}: {source}", path.display())]
    Cgroup { path: PathBuf, source: io::Error },
    #[error("{} is no cgroup of the cgroup2 hierarchy", path.display())]
    NotCgroup2 { path: PathBuf },
    #[error(
        "the bpf system call is not permitted although the capabilities are there: a seccomp profile or a security module forbids it"
    )]
    Forbidden { source: io::Error },
    #[error(
        "this kernel is locked down (confidentiality): no program may read its memory, which order and the size of queues are guarded by"
    )]
    LockedDown,
    #[error("this kernel has no bpf system call, or a seccomp profile hides it")]
    NoSyscall { source: io::Error },
    #[error("the kernel's verifier refused {program} ({source}): {log}")]
    Refused { program: &'static str, source: io::Error, log: String },
    #[error("cannot attach {program} to {}: {source}", cgroup.display())]
    Attach { program: &'static str, cgroup: PathBuf, source: io::Error },
    #[error("the BPF object does not fit this daemon ({what}): run cargo xtask build-ebpf and build again")]
    Mismatch { what: String },
    #[error("this kernel does not do what the short-circuit needs: {source}")]
    SelfTest { source: Mismatch },
    #[error("cannot make {}: {source}", path.display())]
    Pins { path: PathBuf, source: io::Error },
    #[error("cannot start the thread of the heartbeat: {source}")]
    Heartbeat { source: io::Error },
    #[error("cannot load the BPF object: {source}")]
    Load { source: aya::EbpfError },
}

impl Unavailable {
    /// Whether other maps than those that were found might help.
    pub(super) const fn is_about_the_object(&self) -> bool {
        matches!(self, Self::Mismatch { .. } | Self::Refused { .. } | Self::Load { .. } | Self::Attach { .. })
    }
}
