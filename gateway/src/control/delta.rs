//! What a source tells `control`. Kubernetes and files speak the same language.

use crate::{
    ingest::manifest::Manifest,
    model::{
        object::{Kind, ObjectId},
        problem::Problem,
    },
    routing::names::NameAnswer,
};
use std::{fmt, sync::Arc};
use tokio::sync::mpsc;

/// One message of a source.
#[derive(Clone, Debug)]
pub enum Delta {
    /// The object is new or has changed.
    Apply(Manifest),
    Delete(ObjectId),
    /// A complete and successful list of one kind: what is not in it is gone. The first one of every kind opens the gate.
    Replace {
        kind: Kind,
        manifests: Vec<Manifest>,
    },
    /// Everything the part of a source named `part` has to say about what it could not read; replaces what the same part
    /// said before.
    Problems {
        part: &'static str,
        problems: Vec<Problem>,
    },
    /// DNS has answered, or failed to, for a name that some ServiceEntry leads to.
    Answer {
        name: Arc<str>,
        answer: NameAnswer,
    },
    /// How the source fares with one kind. Never changes what is served.
    State {
        kind: Kind,
        state: SourceState,
    },
}

/// How a source fares with one kind of object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SourceState {
    /// Not listed yet.
    #[default]
    Starting,
    /// Listed, and changes are followed.
    Synced,
    /// The API server does not know the kind (its CRD is not installed), and what would help; the gateway asks again.
    WaitingForKind(String),
    /// The gateway may not read the kind, and what would help; it asks again. What was known before stays in force.
    Forbidden(String),
    /// The last attempt failed, for this reason; the gateway tries again. What was known before stays in force.
    Failing(String),
}

impl SourceState {
    /// The name under which status output and metrics show the state.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Starting => "Starting",
            Self::Synced => "Synced",
            Self::WaitingForKind(_) => "WaitingForKind",
            Self::Forbidden(_) => "Forbidden",
            Self::Failing(_) => "Failing",
        }
    }

    /// What is wrong, in words; `None` while nothing is.
    pub fn trouble(&self) -> Option<&str> {
        match self {
            Self::Starting | Self::Synced => None,
            Self::WaitingForKind(reason) | Self::Forbidden(reason) | Self::Failing(reason) => Some(reason),
        }
    }
}

impl fmt::Display for SourceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Starting => f.write_str("not listed yet"),
            Self::Synced => f.write_str("synced"),
            Self::WaitingForKind(reason) | Self::Forbidden(reason) | Self::Failing(reason) => f.write_str(reason),
        }
    }
}

/// Deltas in flight between a source and `control`. A source that is faster waits, so memory stays bounded.
const CAPACITY: usize = 256;

/// The way from sources to `control`.
pub fn channel() -> (mpsc::Sender<Delta>, mpsc::Receiver<Delta>) {
    mpsc::channel(CAPACITY)
}
