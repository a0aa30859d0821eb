//! Files as a source: the same YAML and JSON as in a cluster, watched, turned into the same deltas.
//!
//! Only a file that is really gone takes its objects with it. One that cannot be read, or is being written, keeps what
//! was last read of it.

mod changes;
mod file_set;
mod locate;

pub use locate::{Located, locate, read};

use crate::{
    control::delta::{Delta, SourceState},
    model::object::Kind,
};
use changes::Changes;
use file_set::FileSet;
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use parking_lot::Mutex;
use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::{Notify, mpsc};

/// How often the files are looked at without an event: for file systems that send none, and for directories that were
/// replaced as a whole. Costs one `stat` a file.
const LOOK_ANYWAY: Duration = Duration::from_secs(2);

/// Watches `paths` (files and directories) and sends what they hold, until the receiver is gone.
pub async fn run(paths: Vec<PathBuf>, default_namespace: Arc<str>, deltas: mpsc::Sender<Delta>) {
    let changes = Arc::new(Mutex::new(Changes::default()));
    let woken = Arc::new(Notify::new());
    let mut watcher = watcher(&changes, &woken);
    let mut watched = BTreeSet::new();
    watch(&mut watcher, &paths, &mut watched);
    let mut files = FileSet::new(paths, default_namespace);
    let mut first = true;
    loop {
        let now = Instant::now();
        let seen = changes.lock().take(now);
        let outcome = files.scan(&seen);
        let deltas_of_scan = if first { replace_all(outcome.deltas) } else { outcome.deltas };
        first = false;
        for delta in deltas_of_scan {
            if deltas.send(delta).await.is_err() {
                return;
            }
        }
        if let Some(problems) = outcome.problems
            && deltas.send(Delta::Problems { part: "files", problems }).await.is_err()
        {
            return;
        }
        let wake = changes.lock().next_look(now).unwrap_or(now + LOOK_ANYWAY);
        tokio::select! {
            () = woken.notified() => {}
            () = tokio::time::sleep_until(wake.into()) => watch(&mut watcher, files.paths(), &mut watched),
            () = deltas.closed() => return,
        }
    }
}

/// The first scan is a complete list of every kind, the empty ones included.
fn replace_all(deltas: Vec<Delta>) -> Vec<Delta> {
    let mut manifests: Vec<_> = deltas
        .into_iter()
        .filter_map(|delta| match delta {
            Delta::Apply(manifest) => Some(manifest),
            _ => None,
        })
        .collect();
    let mut lists = Vec::new();
    for kind in Kind::ALL {
        let (of_kind, others) = manifests.into_iter().partition(|manifest| manifest.kind() == kind);
        manifests = others;
        lists.push(Delta::Replace { kind, manifests: of_kind });
        lists.push(Delta::State { kind, state: SourceState::Synced });
    }
    // First what is not listed: Secrets, which servers in the first table need.
    manifests.into_iter().map(Delta::Apply).chain(lists).collect()
}

/// `None` where the kernel has no watch to give: then the files are looked at from time to time.
fn watcher(changes: &Arc<Mutex<Changes>>, woken: &Arc<Notify>) -> Option<RecommendedWatcher> {
    let (changes, woken) = (Arc::clone(changes), Arc::clone(woken));
    let made = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let noted = match event {
            Ok(event) => changes.lock().note(&event, Instant::now()),
            Err(_) => changes.lock().note_everything(),
        };
        if noted {
            woken.notify_one();
        }
    });
    made.inspect_err(|error| tracing::warn!(%error, "cannot watch files: looking every {} s", LOOK_ANYWAY.as_secs()))
        .ok()
}

/// Watches every directory that holds one of `paths`. A directory that was replaced needs a new watch: asking twice for
/// the same one is harmless.
fn watch(watcher: &mut Option<RecommendedWatcher>, paths: &[PathBuf], watched: &mut BTreeSet<PathBuf>) {
    let Some(watcher) = watcher else { return };
    for path in paths {
        let directory = if path.is_dir() { Some(path.as_path()) } else { path.parent() };
        let Some(directory) = directory else { continue };
        match watcher.watch(directory, RecursiveMode::NonRecursive) {
            Ok(()) => {
                watched.insert(directory.to_owned());
            }
            Err(error) => {
                if watched.remove(directory) {
                    tracing::warn!(path = %directory.display(), %error, "cannot watch the directory: looking every {} s", LOOK_ANYWAY.as_secs());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
