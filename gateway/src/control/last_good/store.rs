//! Reading and writing the one file, so that whoever reads it sees a whole one.

use super::{
    Saved,
    file::{self, Refused},
};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

const NAME: &str = "last-good";
/// Beside it, while it is being written.
const UNFINISHED: &str = "last-good.unfinished";

/// Some 100,000 objects. A larger file would hold a node's disk and the gateway's memory hostage.
const MOST_BYTES: u64 = 256 << 20;

/// Why there is nothing to load.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("there is no snapshot in {0} yet")]
    Nothing(PathBuf),
    #[error("the snapshot {path} cannot be read: {error}; it is ignored (--snapshot-dir)")]
    Unreadable {
        path: PathBuf,
        #[source]
        error: io::Error,
    },
    #[error("the snapshot {path} is not used: {reason}; it is replaced once every kind has been listed")]
    Refused {
        path: PathBuf,
        #[source]
        reason: Refused,
    },
}

/// Why the inputs are not on disk.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    #[error(
        "the snapshot would take {bytes} bytes, and at most {MOST_BYTES} are written: a gateway that starts while the \
         cluster cannot be followed will serve what {path} holds now"
    )]
    TooLarge { path: PathBuf, bytes: u64 },
    #[error(
        "cannot write the snapshot {path}: {error}; make its directory writable, or choose another one with --snapshot-dir"
    )]
    Failed {
        path: PathBuf,
        #[source]
        error: io::Error,
    },
}

/// Puts `bytes` in place of the file in `directory`: a crash leaves the old one or the new one.
///
/// # Errors
/// When there is too much of it, or the disk does not take it.
pub(super) fn save(directory: &Path, bytes: &[u8]) -> Result<(), SaveError> {
    let path = directory.join(NAME);
    if bytes.len() as u64 > MOST_BYTES {
        return Err(SaveError::TooLarge { path, bytes: bytes.len() as u64 });
    }
    replace(directory, &path, bytes).map_err(|error| SaveError::Failed { path, error })
}

fn replace(directory: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    let unfinished = directory.join(UNFINISHED);
    // The objects tell how a cluster is made: nobody else need read them.
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&unfinished, path)?;
    // Else the new name may be lost with the power.
    File::open(directory)?.sync_all()
}

/// What the file in `directory` holds.
///
/// # Errors
/// When there is none, or none that can be used.
pub(super) fn load(directory: &Path) -> Result<Saved, LoadError> {
    let path = directory.join(NAME);
    let unreadable = |error| LoadError::Unreadable { path: path.clone(), error };
    match fs::metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(LoadError::Nothing(directory.to_owned()));
        }
        Err(error) => return Err(unreadable(error)),
        Ok(metadata) if metadata.len() > MOST_BYTES => {
            return Err(unreadable(io::Error::other(format!(
                "it has {} bytes, more than any of ours",
                metadata.len()
            ))));
        }
        Ok(_) => {}
    }
    let bytes = fs::read(&path).map_err(unreadable)?;
    file::decode(&bytes).map_err(|reason| LoadError::Refused { path, reason })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{os::unix::fs::PermissionsExt as _, time::SystemTime};

    #[test]
    fn a_file_is_replaced_as_a_whole() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("made/when/needed");
        assert!(matches!(load(&place), Err(LoadError::Nothing(_))));
        for name in ["first", "second"] {
            let object = format!(r#"{{"apiVersion":"v1","kind":"Service","metadata":{{"name":"{name}"}}}}"#);
            save(&place, &file::encode(SystemTime::now(), &[object.into()])).unwrap();
            assert_eq!(&*load(&place).unwrap().manifests[0].id().name, name);
        }
        let names: Vec<_> = fs::read_dir(&place).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, [NAME], "nothing unfinished is left");
        assert_eq!(fs::metadata(place.join(NAME)).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn what_cannot_be_written_or_read_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, "").unwrap();
        let error = save(&file, b"").unwrap_err().to_string();
        assert!(error.contains("file/last-good") && error.contains("--snapshot-dir"), "{error}");
        fs::write(directory.path().join(NAME), "something else").unwrap();
        let error = load(directory.path()).unwrap_err().to_string();
        assert!(error.contains("last-good is not used: it is no snapshot"), "{error}");
    }
}
