//! `exportTo`: which namespaces may see an object.

use std::{collections::BTreeSet, sync::Arc};

/// Who may use an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Visibility {
    /// `*`, or the field left out (the mesh default).
    Public,
    /// Only these namespaces; `.` has been replaced by the object's own. Empty for `~`: nobody.
    Namespaces(BTreeSet<Arc<str>>),
}

impl Visibility {
    pub fn includes(&self, namespace: &str) -> bool {
        match self {
            Self::Public => true,
            Self::Namespaces(namespaces) => namespaces.contains(namespace),
        }
    }
}
