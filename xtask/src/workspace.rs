//! Where things are in the checkout.

use std::path::{Path, PathBuf};

/// The top of the checkout.
pub(crate) fn root() -> PathBuf {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask).to_path_buf()
}

/// Cargo's output directory, which also holds everything else the verbs make.
pub(crate) fn target() -> PathBuf {
    root().join("target")
}

/// The BPF object the daemon embeds.
pub(crate) fn ebpf_object() -> PathBuf {
    target().join("bpf/gateway-ebpf.o")
}

/// A binary of profile `quick`.
pub(crate) fn quick_binary(name: &str) -> PathBuf {
    target().join("quick").join(name)
}
