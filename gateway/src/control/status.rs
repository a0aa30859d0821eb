//! What is loaded and how the sources fare, for whoever shows it: `/config`, readiness, metrics.

use super::delta::SourceState;
use crate::model::{object::Kind, problem::Problem};
use arc_swap::ArcSwap;
use std::{sync::Arc, time::SystemTime};

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
    /// Everything wrong with the inputs: first what a source could not read, then object by object, then what the
    /// compilation found.
    pub problems: Arc<[Problem]>,
}

/// How one kind of object fares.
#[derive(Clone, Debug)]
pub struct KindStatus {
    pub kind: Kind,
    pub state: SourceState,
    /// Objects the source has, whether they can be read or not.
    pub objects: usize,
    /// Objects of which nothing can be served.
    pub rejected: usize,
    /// Objects served in an earlier version, since the current one cannot be read.
    pub held_back: usize,
}

/// The shared view of the last [`Status`].
#[derive(Clone, Debug, Default)]
pub struct StatusView(Arc<ArcSwap<Status>>);

impl StatusView {
    pub fn load(&self) -> Arc<Status> {
        self.0.load_full()
    }

    pub(super) fn store(&self, status: Status) {
        self.0.store(Arc::new(status));
    }
}
