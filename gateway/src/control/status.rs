//! What is loaded and how the sources fare, for whoever shows it: `/config`, readiness, metrics.

use super::delta::SourceState;
use crate::model::{
    object::Kind,
    problem::{Problem, ProblemKind, Severity},
};
use std::{sync::Arc, time::SystemTime};
use tokio::sync::watch;

/// One moment of the configuration. Follows the published snapshot within a fifth of a second.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// Whether every kind has been listed, and a table published.
    pub synced: bool,
    /// Of the last published table; 0 before the first.
    pub generation: u64,
    /// When that was published.
    pub published: Option<SystemTime>,
    /// One for every kind, in the order of [`Kind::ALL`].
    pub kinds: Vec<KindStatus>,
    /// When the snapshot on disk was written, if there is one (`--snapshot-dir`).
    pub saved: Option<SystemTime>,
    /// Everything wrong with the inputs: first what a source could not read, then object by object, then what the
    /// compilation found.
    pub problems: Arc<[Problem]>,
}

/// How one kind of object fares.
#[derive(Clone, Debug)]
pub struct KindStatus {
    pub kind: Kind,
    pub state: SourceState,
    /// Whether there has been a complete list, from the source or from disk.
    pub listed: bool,
    /// Whether the objects are those that were on disk.
    pub restored: bool,
    /// Whether the gateway does without the kind, which it may not read or which is not there.
    pub waived: bool,
    /// Objects the source has, whether they can be read or not.
    pub objects: usize,
    /// Objects of which nothing can be served.
    pub rejected: usize,
    /// Objects served in an earlier version, since the current one cannot be read.
    pub held_back: usize,
}

impl Status {
    /// What keeps the first table from being published, in words; `None` once it has been. Every kind does: a table without
    /// DestinationRules or Pods would answer 503 for every subset, while a gateway that is not ready leaves its callers to
    /// the other nodes' and stops a rolling update before it does harm.
    pub fn waiting_for(&self) -> Option<String> {
        if self.synced {
            return None;
        }
        let waiting = by_reason(self.kinds.iter().filter(|kind| !kind.listed && !kind.waived));
        let waiting: Vec<String> = waiting.into_iter().map(|(reason, kinds)| format!("{kinds} ({reason})")).collect();
        Some(format!("waiting for the first list of {}", waiting.join(", ")))
    }

    /// What is in force that was on disk, in words; `None` when nothing is.
    pub fn restored(&self) -> Option<String> {
        let kinds: Vec<&str> = self.kinds.iter().filter(|kind| kind.restored).map(|kind| kind.kind.name()).collect();
        if kinds.is_empty() {
            return None;
        }
        let age = self.saved.and_then(|saved| SystemTime::now().duration_since(saved).ok()).unwrap_or_default();
        Some(format!("served from the snapshot on disk, written {} s ago: {}", age.as_secs(), kinds.join(", ")))
    }

    /// The kinds that cannot be followed now, as problems of this node: one for each reason.
    pub fn source_problems(&self) -> impl Iterator<Item = Problem> + '_ {
        use Consequence::{Stays, Unready, Without};
        let without = Kind::ALL.into_iter().filter(|kind| kind.is_dispensable()).map(Without);
        [Stays, Unready].into_iter().chain(without).flat_map(move |consequence| {
            let kinds = self.kinds.iter().filter(move |kind| kind.consequence() == Some(consequence));
            by_reason(kinds).into_iter().map(move |(reason, kinds)| Problem {
                object: None,
                source: None,
                path: String::new(),
                severity: if let Without(_) = consequence { Severity::Warning } else { Severity::Error },
                kind: ProblemKind::Node,
                message: format!("cannot watch {kinds}: {reason}; {}", consequence.text()),
            })
        })
    }
}

/// What it means that a kind cannot be followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consequence {
    /// It has been listed.
    Stays,
    Unready,
    /// It cannot be read and is not needed.
    Without(Kind),
}

impl Consequence {
    /// In words, for the end of a sentence.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Stays => "what is known stays in force",
            Self::Unready => "the gateway is not ready before it is listed",
            Self::Without(Kind::WorkloadEntry) => "until then no ServiceEntry leads to the WorkloadEntries it selects",
            Self::Without(_) => {
                "until then it is not known in which zone an endpoint is: those without a locality of their own count the \
                 same, near or far"
            }
        }
    }
}

impl KindStatus {
    /// `None` while the kind is followed.
    fn consequence(&self) -> Option<Consequence> {
        self.state.trouble()?;
        Some(match (self.listed, self.waived) {
            (true, _) => Consequence::Stays,
            (false, true) => Consequence::Without(self.kind),
            (false, false) => Consequence::Unready,
        })
    }
}

/// The kinds, listed, that share a reason.
fn by_reason<'k>(kinds: impl Iterator<Item = &'k KindStatus>) -> Vec<(String, String)> {
    let mut reasons: Vec<(String, String)> = Vec::new();
    for kind in kinds {
        let reason = kind.state.to_string();
        match reasons.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, kinds)) => {
                kinds.push_str(", ");
                kinds.push_str(kind.kind.name());
            }
            None => reasons.push((reason, kind.kind.name().to_owned())),
        }
    }
    reasons
}

/// The shared view of the last [`Status`]. Cheap to clone.
#[derive(Clone, Debug)]
pub struct StatusView(watch::Receiver<Arc<Status>>);

/// The writing side; `control` has the only one.
#[derive(Debug)]
pub struct StatusWriter(watch::Sender<Arc<Status>>);

/// Both sides, holding an empty status.
pub fn channel() -> (StatusWriter, StatusView) {
    let (sender, receiver) = watch::channel(Arc::default());
    (StatusWriter(sender), StatusView(receiver))
}

impl StatusWriter {
    /// What is in force that was on disk, as of the last status.
    pub(super) fn restored(&self) -> Option<String> {
        self.0.borrow().restored()
    }

    pub(super) fn store(&self, status: Status) {
        self.0.send_replace(Arc::new(status));
    }
}

impl StatusView {
    pub fn load(&self) -> Arc<Status> {
        Arc::clone(&self.0.borrow())
    }

    /// Waits for a status this handle has not seen. `false` when the writer is gone.
    pub async fn changed(&mut self) -> bool {
        self.0.changed().await.is_ok()
    }
}
