//! A BPF file system of the test's own, whether the machine has one or not.

use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
};

const PLACE: &str = "/sys/fs/bpf";

/// Mounts an empty one where programs look for it, for this thread and what it starts from now on: what they pin goes
/// with the last of them, and the machine sees neither the pins nor the mount.
///
/// # Panics
/// Without root, or where the kernel knows no BPF.
pub fn mount_own() {
    let none = None::<&str>;
    unshare(CloneFlags::CLONE_NEWNS).expect("a mount namespace of one's own needs root");
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_SLAVE, none).expect("mounts that stay here");
    mount(Some("bpf"), PLACE, Some("bpf"), MsFlags::empty(), none).expect("a BPF file system");
}
