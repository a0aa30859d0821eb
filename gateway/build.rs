//! Hands the BPF object to the daemon: the file `cargo xtask build-ebpf` made, or an empty one when there is none.
//!
//! The object has a compiler of its own (docs/building.md), which is why it is not built from here: a plain `cargo build`
//! must work on a machine without that compiler, and the daemon then says what it lacks.

use std::{env, fs, io, path::PathBuf};

/// Names another object than the one of this checkout, for packagers who build it elsewhere.
const OVERRIDE: &str = "GATEWAY_EBPF_OBJECT";

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed={OVERRIDE}");
    let embedded = PathBuf::from(required("OUT_DIR")?).join("gateway-ebpf.o");
    let object = match env::var_os(OVERRIDE).filter(|path| !path.is_empty()) {
        Some(path) => PathBuf::from(path),
        None => PathBuf::from(required("CARGO_MANIFEST_DIR")?).join("../target/bpf/gateway-ebpf.o"),
    };
    let bytes = match fs::read(&object) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound && env::var_os(OVERRIDE).is_none() => Vec::new(),
        Err(error) => return Err(io::Error::new(error.kind(), format!("{OVERRIDE}: {}: {error}", object.display()))),
    };
    // A missing file would make cargo run this script, and rebuild the daemon, every time; an empty directory to watch does
    // not, and the object that appears in it later is noticed.
    let watched = match object.parent() {
        Some(directory) if bytes.is_empty() => {
            fs::create_dir_all(directory)?;
            directory
        }
        _ => &object,
    };
    println!("cargo::rerun-if-changed={}", watched.display());
    fs::write(embedded, bytes)
}

fn required(name: &str) -> io::Result<std::ffi::OsString> {
    env::var_os(name).ok_or_else(|| io::Error::other(format!("cargo did not set {name}")))
}
