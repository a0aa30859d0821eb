//! Certificates in files: read when they change.

use super::pem::Pem;
use std::{collections::BTreeMap, fs, os::unix::fs::MetadataExt, path::Path, sync::Arc};

/// A file that holds more is no certificate.
const LARGEST_FILE_BYTES: u64 = 1 << 20;

/// What was read of each file, and when it was of which form.
#[derive(Debug, Default)]
pub(super) struct Files(BTreeMap<Arc<str>, File>);

#[derive(Debug)]
struct File {
    stamp: Option<Stamp>,
    read: Result<Pem, String>,
}

/// Changes whenever the file does, also when a symbolic link on the way leads elsewhere, as kubelet's do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    modified: (i64, i64),
    length: u64,
}

impl Files {
    /// Forgets what is not in `wanted`, and reads what is new.
    pub(super) fn want<'a>(&mut self, wanted: impl Iterator<Item = &'a Arc<str>>) {
        let mut before = std::mem::take(&mut self.0);
        for path in wanted {
            let file = before.remove(path).unwrap_or_else(|| File::read(path));
            self.0.insert(Arc::clone(path), file);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Reads again what has changed; returns those paths.
    pub(super) fn look(&mut self) -> Vec<Arc<str>> {
        let mut changed = Vec::new();
        for (path, file) in &mut self.0 {
            if file.stamp.is_none() || file.stamp != stamp(path) {
                let now = File::read(path);
                if now.read != file.read {
                    changed.push(Arc::clone(path));
                }
                *file = now;
            }
        }
        changed
    }

    /// What is in `path`, or why it cannot be read.
    pub(super) fn get(&self, path: &str) -> Result<Pem, String> {
        self.0.get(path).map_or_else(|| Err("it has not been read".to_owned()), |file| file.read.clone())
    }
}

impl File {
    fn read(path: &str) -> Self {
        // Before the content: a change in between is read at the next look.
        let stamp = stamp(path);
        let read = match stamp {
            Some(stamp) if stamp.length > LARGEST_FILE_BYTES => {
                Err(format!("it is larger than {} MiB", LARGEST_FILE_BYTES >> 20))
            }
            _ => fs::read(path).map(|bytes| Pem::new(path, bytes)).map_err(|error| error.to_string()),
        };
        Self { stamp, read }
    }
}

fn stamp(path: &str) -> Option<Stamp> {
    let meta = fs::metadata(Path::new(path)).ok()?;
    Some(Stamp {
        device: meta.dev(),
        inode: meta.ino(),
        modified: (meta.mtime(), meta.mtime_nsec()),
        length: meta.len(),
    })
}
