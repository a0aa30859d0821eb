//! What is wrong with an object, said to its author.

use super::object::ObjectId;
use std::fmt;

/// How bad a [`Problem`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The object is served, but not all of what it says.
    Warning,
    /// Istio's admission webhook would refuse the object. Whatever part of it still has a meaning is served.
    Error,
}

/// What a [`Problem`] is about; stable, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProblemKind {
    /// The object is not what its schema says: wrong type, missing field.
    Schema,
    /// A field that Istio does not know either.
    UnknownField,
    /// A field of Istio that this version does not serve.
    NotServed,
    /// A value that Istio's webhook refuses.
    Invalid,
    /// A value Istio accepts with a warning.
    Suspicious,
    /// A rule that no request reaches.
    UnreachableRule,
    /// A match of which an earlier one takes every request.
    IneffectiveMatch,
    /// The object is in conflict with another one, and lost.
    Conflict,
    /// A reference to something that does not exist.
    Reference,
    /// The file that holds objects cannot be read as YAML or JSON.
    Unreadable,
    /// What Istio would do, and a setting of the gateway forbids.
    Refused,
    /// The gateway cannot do what the object asks on this node (for example, bind the port).
    Node,
}

impl ProblemKind {
    /// The name under which status output and metrics show the kind.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Schema => "Schema",
            Self::UnknownField => "UnknownField",
            Self::NotServed => "NotServed",
            Self::Invalid => "Invalid",
            Self::Suspicious => "Suspicious",
            Self::UnreachableRule => "UnreachableRule",
            Self::IneffectiveMatch => "IneffectiveMatch",
            Self::Conflict => "Conflict",
            Self::Reference => "Reference",
            Self::Unreadable => "Unreadable",
            Self::Refused => "Refused",
            Self::Node => "Node",
        }
    }
}

/// One finding about one object: which object, which field, what is wrong and how to mend it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Problem {
    /// `None` when not even the object's name could be read.
    pub object: Option<ObjectId>,
    /// `file:line`, when the object came from a file.
    pub source: Option<std::sync::Arc<str>>,
    /// The field, as `spec.http[0].route[1].weight`; empty for the object as a whole.
    pub path: String,
    pub severity: Severity,
    pub kind: ProblemKind,
    /// What is wrong, and the remedy. Lower case, no trailing dot.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(object) = &self.object {
            write!(f, "{object}")?;
        }
        if let Some(source) = &self.source {
            write!(f, "{}({source})", if self.object.is_some() { " " } else { "" })?;
        }
        if !self.path.is_empty() {
            write!(f, " {}", self.path)?;
        }
        write!(f, ": {}", self.message)
    }
}
