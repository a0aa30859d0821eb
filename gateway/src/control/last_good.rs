//! The last good inputs on disk (`--snapshot-dir`): with them a gateway that starts while its cluster cannot be followed
//! serves what its predecessor served, instead of nothing.
//!
//! What is kept are the objects as they were applied, of the kinds the gateway reads: none of them is a Secret. They are
//! written once every kind is followed and a quiet time has passed, and read when the cluster cannot be followed at the
//! start. A live list of a kind always replaces what was on disk of it.

mod file;
mod schedule;
mod store;

pub use file::Refused;
pub use store::{LoadError, SaveError};

use super::delta::Delta;
use crate::{
    ingest::manifest::Manifest,
    model::{
        object::{Kind, ObjectId},
        problem::{Problem, ProblemKind, Severity},
    },
};
use schedule::Schedule;
use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::Arc,
    time::{Instant, SystemTime},
};
use tokio::task::{self, JoinHandle};

/// What was on disk.
#[derive(Clone, Debug, PartialEq)]
pub struct Saved {
    pub written: SystemTime,
    pub manifests: Vec<Manifest>,
}

/// The current objects as text, and when they go to disk.
#[derive(Debug)]
pub(super) struct LastGood {
    directory: PathBuf,
    objects: BTreeMap<ObjectId, Arc<str>>,
    schedule: Schedule,
    saving: Option<JoinHandle<Result<SystemTime, SaveError>>>,
    /// Of the file there is now, as far as it is known and good.
    written: Option<SystemTime>,
    problem: Option<Problem>,
}

impl LastGood {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self {
            directory,
            objects: BTreeMap::new(),
            schedule: Schedule::default(),
            saving: None,
            written: None,
            problem: None,
        }
    }

    /// Takes note of what a source says.
    pub(super) fn note(&mut self, delta: &Delta, now: Instant) {
        match delta {
            Delta::Apply(manifest) => self.put(manifest),
            Delta::Delete(id) => _ = self.objects.remove(id),
            Delta::Replace { kind, manifests } => {
                self.objects.retain(|id, _| id.kind != *kind);
                for manifest in manifests {
                    self.put(manifest);
                }
            }
            Delta::Problems { .. } | Delta::State { .. } | Delta::Answer { .. } => return,
        }
        self.schedule.changed(now);
    }

    fn put(&mut self, manifest: &Manifest) {
        self.objects.insert(manifest.id().clone(), manifest.object.to_string().into());
    }

    /// When to save; `None` while nothing has changed, or a save is under way.
    pub(super) fn due(&self) -> Option<Instant> {
        if self.saving.is_some() { None } else { self.schedule.due() }
    }

    /// Begins to write the present objects, on a thread of its own.
    pub(super) fn begin_saving(&mut self) {
        self.schedule.acted();
        let (directory, objects) = (self.directory.clone(), self.objects.values().cloned().collect::<Vec<_>>());
        self.saving = Some(task::spawn_blocking(move || {
            let now = SystemTime::now();
            store::save(&directory, &file::encode(now, &objects)).map(|()| now)
        }));
    }

    /// Waits for the end of the save that is under way; for ever when there is none.
    pub(super) async fn saved(&mut self) {
        let Some(saving) = &mut self.saving else { return std::future::pending().await };
        let result = saving.await;
        self.saving = None;
        match result {
            Ok(Ok(written)) => {
                self.written = Some(written);
                self.problem = None;
                tracing::debug!(objects = self.objects.len(), "the snapshot on disk is up to date");
            }
            Ok(Err(error)) => {
                self.problem = Some(problem(&error));
                self.schedule.failed(Instant::now());
            }
            Err(error) => tracing::error!(%error, "the thread that writes the snapshot had panicked"),
        }
    }

    /// The objects on disk, by kind. `None` when there are none that can be used, and then [`problem`](Self::problem) says
    /// why, unless there has never been a file.
    pub(super) fn load(&mut self) -> Option<(SystemTime, HashMap<Kind, Vec<Manifest>>)> {
        match store::load(&self.directory) {
            Ok(saved) => {
                self.written = Some(saved.written);
                let mut kinds: HashMap<Kind, Vec<Manifest>> = HashMap::new();
                for manifest in saved.manifests {
                    kinds.entry(manifest.kind()).or_default().push(manifest);
                }
                Some((saved.written, kinds))
            }
            Err(LoadError::Nothing(directory)) => {
                tracing::info!(directory = %directory.display(), "there is no snapshot on disk yet");
                None
            }
            Err(error) => {
                self.problem = Some(problem(&error));
                None
            }
        }
    }

    /// When the snapshot on disk was written, as far as it is known.
    pub(super) fn written(&self) -> Option<SystemTime> {
        self.written
    }

    /// What is wrong with the snapshot on disk.
    pub(super) fn problem(&self) -> Option<&Problem> {
        self.problem.as_ref()
    }
}

fn problem(error: &dyn std::error::Error) -> Problem {
    Problem {
        object: None,
        source: None,
        path: String::new(),
        severity: Severity::Error,
        kind: ProblemKind::Node,
        message: error.to_string(),
    }
}
