//! Host names and host patterns, and the set relations Istio defines on them.

use std::{fmt, sync::Arc};

/// An exact name, `*.suffix`, or `*`; always lower case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostPattern(Arc<str>);

impl HostPattern {
    /// Lower-cases `text`. Any text is a pattern: what is not a legal name matches nothing, and `ingest` has said so.
    pub fn new(text: &str) -> Self {
        Self(text.to_ascii_lowercase().into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text, shared.
    pub fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }

    /// Whether this is `*`, which matches every host.
    pub fn is_any(&self) -> bool {
        &*self.0 == "*"
    }

    pub fn is_wildcard(&self) -> bool {
        self.0.starts_with('*')
    }

    /// Whether some host matches both patterns (`Name.Matches` in istio/pkg/config/host/name.go).
    pub fn intersects(&self, other: &Self) -> bool {
        match (self.is_wildcard(), other.is_wildcard()) {
            (true, true) => {
                let (a, b) = (&self.0[1..], &other.0[1..]);
                a.ends_with(b) || b.ends_with(a)
            }
            (true, false) => other.0.ends_with(&self.0[1..]),
            (false, true) => self.0.ends_with(&other.0[1..]),
            (false, false) => self.0 == other.0,
        }
    }

    /// Whether every host that matches this pattern matches `other` too (`Name.SubsetOf`, same file).
    pub fn is_subset_of(&self, other: &Self) -> bool {
        match (self.is_wildcard(), other.is_wildcard()) {
            (true, true) => self.0.len() >= other.0.len() && self.0.ends_with(&other.0[1..]),
            (true, false) => false,
            (false, true) => self.0.ends_with(&other.0[1..]),
            (false, false) => self.0 == other.0,
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
