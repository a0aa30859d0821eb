//! The BPF object inside this binary.

use super::Unavailable;
use std::{borrow::Cow, env, fs};

/// Written by build.rs; empty when the object had not been built.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/gateway-ebpf.o"));

/// Names the file of another object: the tests prove what each guard is good for with objects that lack it.
const OTHER_OBJECT: &str = "GATEWAY_TESTS_OBJECT";
/// With the value `skip`, such an object is used although the self-test would find out.
const SELF_TEST: &str = "GATEWAY_TESTS_SELF_TEST";

/// An object, and what is known about it.
#[derive(Debug)]
pub(super) struct Object {
    pub(super) bytes: Cow<'static, [u8]>,
    /// Whether the self-test decides if it is used. Always, but for tests.
    pub(super) is_tested: bool,
}

/// The object to load.
///
/// # Errors
/// [`Unavailable::NotBuilt`] when this binary was built without it.
pub(super) fn chosen() -> Result<Object, Unavailable> {
    if let Some(path) = env::var_os(OTHER_OBJECT) {
        let bytes = fs::read(&path).map_err(|error| Unavailable::Mismatch {
            what: format!("{OTHER_OBJECT}={} cannot be read: {error}", path.display()),
        })?;
        let is_tested = env::var_os(SELF_TEST).is_none_or(|value| value != "skip");
        tracing::warn!("fast path: the object of {OTHER_OBJECT} is used, which is meant for tests");
        return Ok(Object { bytes: Cow::Owned(bytes), is_tested });
    }
    if OBJECT.is_empty() {
        return Err(Unavailable::NotBuilt);
    }
    Ok(Object { bytes: Cow::Borrowed(OBJECT), is_tested: true })
}
