//! Istio's StringMatch: exact, prefix or regex.

use regex::bytes::Regex;

/// A condition on one string.
#[derive(Clone, Debug)]
pub enum StringMatch {
    Exact(String),
    Prefix(String),
    Regex(FullMatch),
}

/// A regex that must match the whole text, as Envoy's safe_regex does, with the pattern as its author wrote it.
#[derive(Clone, Debug)]
pub struct FullMatch {
    /// The author's pattern, in RE2's syntax.
    pub pattern: String,
    /// The same, anchored at both ends.
    pub compiled: Regex,
}

impl StringMatch {
    pub fn matches(&self, text: &[u8]) -> bool {
        match self {
            Self::Exact(exact) => exact.as_bytes() == text,
            Self::Prefix(prefix) => text.starts_with(prefix.as_bytes()),
            Self::Regex(regex) => regex.compiled.is_match(text),
        }
    }
}

impl PartialEq for FullMatch {
    fn eq(&self, other: &Self) -> bool {
        self.pattern == other.pattern
    }
}

impl PartialEq for StringMatch {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Exact(a), Self::Exact(b)) | (Self::Prefix(a), Self::Prefix(b)) => a == b,
            (Self::Regex(a), Self::Regex(b)) => a == b,
            _ => false,
        }
    }
}
