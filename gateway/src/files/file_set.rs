//! The files as they were read last, and what to tell `control` when they change.
//!
//! Keeps no object, only which file holds which and a fingerprint, so that memory does not hold everything twice.

use super::{
    changes::Seen,
    locate::{Located, locate, text, unreadable},
};
use crate::{
    control::delta::Delta,
    ingest::manifest::{self, Manifest},
    model::{
        object::ObjectId,
        problem::{Problem, ProblemKind, Severity},
    },
};
use std::{
    collections::{BTreeMap, HashMap, hash_map::RandomState},
    fs,
    hash::BuildHasher,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
};

/// What the `-f` paths hold.
#[derive(Debug)]
pub(super) struct FileSet {
    paths: Vec<PathBuf>,
    default_namespace: Arc<str>,
    files: BTreeMap<PathBuf, File>,
    /// What `control` has been told: the object, the file it is from and its fingerprint.
    told: HashMap<ObjectId, (PathBuf, Fingerprint)>,
    /// Some object could not be told: the next look tries again, whatever it finds.
    is_untold: bool,
    /// Objects in more than one file.
    repeated: Vec<Problem>,
    problems: Vec<Problem>,
    hasher: RandomState,
    /// How often all objects were compared with what has been told.
    #[cfg(test)]
    compared: usize,
}

/// Tells two versions of one object apart; keyed at random, so nobody can aim for a collision.
type Fingerprint = u64;

/// Changes whenever the file does, as far as the file system says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    modified: (i64, i64),
    changed: (i64, i64),
    length: u64,
}

#[derive(Debug, Default)]
struct File {
    stamp: Option<Stamp>,
    objects: Vec<(ObjectId, Fingerprint)>,
    problems: Vec<Problem>,
    /// Was not there at the last look.
    missed: bool,
}

/// What a scan found.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) deltas: Vec<Delta>,
    /// All problems, when they are not the same as after the last scan.
    pub(super) problems: Option<Vec<Problem>>,
}

impl FileSet {
    pub(super) fn new(paths: Vec<PathBuf>, default_namespace: Arc<str>) -> Self {
        Self {
            paths,
            default_namespace,
            files: BTreeMap::new(),
            told: HashMap::new(),
            is_untold: false,
            repeated: Vec::new(),
            problems: Vec::new(),
            hasher: RandomState::new(),
            #[cfg(test)]
            compared: 0,
        }
    }

    pub(super) fn paths(&self) -> &[PathBuf] {
        &self.paths
    }

    /// Looks at every file and reads those that have changed.
    pub(super) fn scan(&mut self, seen: &Seen) -> Outcome {
        let mut problems = Vec::new();
        let mut fresh: HashMap<PathBuf, Vec<Manifest>> = HashMap::new();
        let mut before = std::mem::take(&mut self.files);
        for path in self.locate_all(&before, seen, &mut problems) {
            let mut file = before.remove(&path).unwrap_or_default();
            file.missed = false;
            let stamp = stamp(&path);
            let unchanged = file.stamp.is_some() && file.stamp == stamp && !seen.must_read(&path);
            let file = if unchanged || seen.is_settling(&path) {
                file
            } else {
                let (file, manifests) = self.read(&path, file, stamp);
                fresh.insert(path.clone(), manifests);
                file
            };
            self.files.insert(path, file);
        }
        let mut has_lost = false;
        for (path, mut file) in before {
            // Gone between the last event and this look: the event is on its way and says for how long to wait.
            if !file.missed && !seen.must_read(&path) {
                file.missed = true;
                self.files.insert(path, file);
            } else {
                has_lost = true;
            }
        }
        // At rest every look would cost time for every object.
        let is_due = has_lost || !fresh.is_empty() || self.is_untold;
        let deltas = if is_due { self.tell(&mut fresh) } else { Vec::new() };
        problems.extend(self.repeated.iter().cloned());
        problems.extend(self.files.values().flat_map(|file| file.problems.iter().cloned()));
        let changed = problems != self.problems;
        self.problems.clone_from(&problems);
        Outcome { deltas, problems: changed.then_some(problems) }
    }

    /// Every file there is, in order. Below a path of which nothing is known, the files known before.
    fn locate_all(&self, before: &BTreeMap<PathBuf, File>, seen: &Seen, problems: &mut Vec<Problem>) -> Vec<PathBuf> {
        let mut all: Vec<PathBuf> = before.keys().filter(|path| seen.is_settling(path)).cloned().collect();
        for path in &self.paths {
            match locate(path) {
                Located::Files(files) => all.extend(files),
                Located::Unknown(reason) => {
                    all.extend(before.keys().filter(|file| file.starts_with(path)).cloned());
                    problems.push(unreadable(path, Severity::Error, reason));
                }
            }
        }
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Reads a file. What was known of it stays where nothing new can be read.
    fn read(&self, path: &Path, last: File, stamp: Option<Stamp>) -> (File, Vec<Manifest>) {
        let keep = |message: String| {
            let problems = vec![unreadable(path, Severity::Error, message)];
            // Without a stamp the file is tried again at the next look.
            (File { objects: last.objects.clone(), problems, ..File::default() }, Vec::new())
        };
        let text = match text(path) {
            Ok(text) => text,
            Err(reason) => return keep(format!("cannot be read: {reason}; what was last read of it stays in force")),
        };
        let parsed = manifest::parse(&text, &path.to_string_lossy(), &self.default_namespace);
        let nothing = parsed.manifests.is_empty() && parsed.problems.is_empty() && parsed.ignored == 0;
        if nothing && !last.objects.is_empty() {
            return keep("is empty; what was last read of it stays in force until the file is deleted".to_owned());
        }
        let mut objects: Vec<(ObjectId, Fingerprint)> =
            parsed.manifests.iter().map(|manifest| (manifest.id().clone(), self.fingerprint(manifest))).collect();
        if parsed.problems.iter().any(|problem| problem.kind == ProblemKind::Unreadable) {
            // One of the objects known before may be in the document that cannot be read.
            let kept: Vec<_> =
                last.objects.into_iter().filter(|(id, _)| objects.iter().all(|(new, _)| new != id)).collect();
            objects.extend(kept);
        }
        (File { stamp, objects, problems: parsed.problems, missed: false }, parsed.manifests)
    }

    /// The difference between what the files hold and what has been told. The last file that names an object wins, as
    /// when the files are applied one after the other.
    fn tell(&mut self, fresh: &mut HashMap<PathBuf, Vec<Manifest>>) -> Vec<Delta> {
        #[cfg(test)]
        {
            self.compared += 1;
        }
        let mut repeated = Vec::new();
        let mut now: HashMap<ObjectId, (PathBuf, Fingerprint)> = HashMap::with_capacity(self.told.len());
        for (path, file) in &self.files {
            for (id, fingerprint) in &file.objects {
                if let Some((other, _)) = now.insert(id.clone(), (path.clone(), *fingerprint)) {
                    repeated.push(defined_twice(id, &other, path));
                }
            }
        }
        let mut deltas: Vec<Delta> =
            self.told.keys().filter(|id| !now.contains_key(*id)).map(|id| Delta::Delete(id.clone())).collect();
        let mut changed: Vec<&ObjectId> =
            now.iter().filter(|(id, what)| self.told.get(*id) != Some(what)).map(|(id, _)| id).collect();
        changed.sort_unstable();
        let mut untold = Vec::new();
        for id in changed {
            let (path, _) = &now[id];
            // Not read in this scan: another file held the object, and has lost it.
            let manifests = fresh.entry(path.clone()).or_insert_with(|| self.reread(path));
            match manifests.iter().rposition(|manifest| manifest.id() == id) {
                Some(index) => deltas.push(Delta::Apply(manifests[index].clone())),
                None => untold.push(id.clone()),
            }
        }
        self.repeated = repeated;
        self.is_untold = !untold.is_empty();
        for id in untold {
            // The file has changed again meanwhile: the next look finds out.
            let last = self.told.get(&id).cloned();
            match last {
                Some(last) => now.insert(id, last),
                None => now.remove(&id),
            };
        }
        self.told = now;
        deltas
    }

    fn reread(&self, path: &Path) -> Vec<Manifest> {
        match text(path) {
            Ok(text) => manifest::parse(&text, &path.to_string_lossy(), &self.default_namespace).manifests,
            Err(_) => Vec::new(),
        }
    }

    fn fingerprint(&self, manifest: &Manifest) -> Fingerprint {
        self.hasher.hash_one((&manifest.meta.source, manifest.object.to_string()))
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let meta = fs::metadata(path).ok()?;
    Some(Stamp {
        device: meta.dev(),
        inode: meta.ino(),
        modified: (meta.mtime(), meta.mtime_nsec()),
        changed: (meta.ctime(), meta.ctime_nsec()),
        length: meta.len(),
    })
}

fn defined_twice(id: &ObjectId, loser: &Path, winner: &Path) -> Problem {
    Problem {
        object: Some(id.clone()),
        source: Some(loser.to_string_lossy().into()),
        path: String::new(),
        severity: Severity::Warning,
        kind: ProblemKind::Conflict,
        message: format!("is defined again in {}, which wins; remove one of them", winner.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(name: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{ports: [{{name: http, port: 80}}]}}\n"
        )
    }

    /// What is found is found in every look, but objects are only compared after one that has found something else.
    #[test]
    fn a_look_that_finds_nothing_new_compares_no_objects() {
        let directory = tempfile::tempdir().expect("a directory");
        let at = |name: &str| directory.path().join(name);
        fs::write(at("a.yaml"), service("a")).expect("a file");
        fs::write(at("b.yaml"), service("a")).expect("a file");
        let mut files = FileSet::new(vec![directory.path().to_owned()], "default".into());
        let look = |files: &mut FileSet| {
            let Outcome { deltas, problems } = files.scan(&Seen::default());
            (deltas.len(), problems.map(|problems| problems.len()), files.compared)
        };
        assert_eq!(look(&mut files), (1, Some(1), 1), "one object, twice");
        assert_eq!(look(&mut files), (0, None, 1));
        assert_eq!(look(&mut files), (0, None, 1));
        assert_eq!(files.problems.len(), 1, "it is still there twice");
        fs::write(at("c.yaml"), service("c")).expect("a file");
        assert_eq!(look(&mut files), (1, None, 2), "a file has come");
        fs::write(at("c.yaml"), service("other")).expect("a file");
        assert_eq!(look(&mut files), (2, None, 3), "a file has changed");
        fs::remove_file(at("b.yaml")).expect("removed");
        assert_eq!(look(&mut files), (0, None, 3), "a file that is gone may come back");
        assert_eq!(look(&mut files), (1, Some(0), 4), "it has not");
        assert_eq!(look(&mut files), (0, None, 4));
        files.is_untold = true;
        assert_eq!(look(&mut files), (0, None, 5), "what could not be told is tried again");
        assert_eq!(look(&mut files), (0, None, 5));
    }
}
