//! From the `-f` paths to files and their texts.

use crate::{
    ingest::manifest::{self, Parsed},
    model::problem::{Problem, ProblemKind, Severity},
};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// A file that holds more is not configuration: a ConfigMap ends at 1 MiB, etcd's objects at 1.5 MiB each.
const LARGEST_FILE_BYTES: u64 = 64 << 20;

/// The files below one `-f` path.
#[derive(Debug, PartialEq, Eq)]
pub enum Located {
    /// Sorted; empty when the path is gone and was a file.
    Files(Vec<PathBuf>),
    /// The directory cannot be listed, for this reason: what is in it is unknown.
    Unknown(String),
}

/// The files `path` stands for: itself, or the `*.yaml`, `*.yml` and `*.json` files right in it. Names that begin with a
/// dot are left out, as kubelet's `..data` and editors' copies are.
pub fn locate(path: &Path) -> Located {
    match fs::metadata(path) {
        Ok(meta) if meta.is_dir() => match files_in(path) {
            Ok(files) => Located::Files(files),
            Err(error) => Located::Unknown(error.to_string()),
        },
        Ok(_) => Located::Files(vec![path.to_owned()]),
        // A symbolic link that leads nowhere is a ConfigMap in the middle of a swap, not a deletion.
        Err(error) if error.kind() == io::ErrorKind::NotFound && fs::symlink_metadata(path).is_err() => {
            if has_manifest_name(path) {
                Located::Files(Vec::new())
            } else {
                Located::Unknown("it is gone; what was read from it stays in force until it is back".to_owned())
            }
        }
        Err(error) => Located::Unknown(error.to_string()),
    }
}

fn files_in(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if has_manifest_name(&path) && !fs::metadata(&path).is_ok_and(|meta| meta.is_dir()) {
            files.push(path);
        }
    }
    files.sort_unstable();
    Ok(files)
}

fn has_manifest_name(path: &Path) -> bool {
    let hidden = path.file_name().and_then(|name| name.to_str()).is_none_or(|name| name.starts_with('.'));
    let extension = path.extension().and_then(|extension| extension.to_str());
    !hidden && matches!(extension, Some("yaml" | "yml" | "json"))
}

/// The text of a file.
///
/// # Errors
/// Why it cannot be read, in words.
pub(super) fn text(path: &Path) -> Result<String, String> {
    let meta = fs::metadata(path).map_err(|error| error.to_string())?;
    if !meta.is_file() {
        return Err("it is not a regular file".to_owned());
    }
    if meta.len() > LARGEST_FILE_BYTES {
        return Err(format!("it is larger than {} MiB", LARGEST_FILE_BYTES >> 20));
    }
    fs::read_to_string(path).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => "it is not UTF-8 text".to_owned(),
        _ => error.to_string(),
    })
}

/// The problem with a file as a whole.
pub(super) fn unreadable(path: &Path, severity: Severity, message: String) -> Problem {
    Problem {
        object: None,
        source: Some(path.to_string_lossy().into()),
        path: String::new(),
        severity,
        kind: ProblemKind::Unreadable,
        message,
    }
}

/// Reads everything below `path` once, for the commands that do not stay.
///
/// # Errors
/// When `path`, or a file in it, cannot be read; names it and says why.
pub fn read(path: &Path, default_namespace: &str) -> Result<Parsed, String> {
    let fails = |path: &Path, reason: &str| format!("cannot read {}: {reason}", path.display());
    let files = match locate(path) {
        Located::Files(files) if files.is_empty() && !path.exists() => {
            return Err(fails(path, "there is no such file or directory"));
        }
        Located::Files(files) => files,
        Located::Unknown(_) if !path.exists() => return Err(fails(path, "there is no such file or directory")),
        Located::Unknown(reason) => return Err(fails(path, &reason)),
    };
    let mut all = Parsed::default();
    for file in files {
        let text = text(&file).map_err(|reason| fails(&file, &reason))?;
        let parsed = manifest::parse(&text, &file.to_string_lossy(), default_namespace);
        all.manifests.extend(parsed.manifests);
        all.problems.extend(parsed.problems);
        all.ignored += parsed.ignored;
    }
    Ok(all)
}
