//! The BPF object inside this binary.

use super::Unavailable;

/// Written by build.rs; empty when the object had not been built.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/gateway-ebpf.o"));

/// The object's bytes.
///
/// # Errors
/// [`Unavailable::NotBuilt`] when this binary was built without it.
pub(super) fn embedded() -> Result<&'static [u8], Unavailable> {
    if OBJECT.is_empty() { Err(Unavailable::NotBuilt) } else { Ok(OBJECT) }
}
