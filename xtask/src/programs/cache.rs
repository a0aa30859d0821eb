//! Where built programs are kept: outside the checkout, under a name that changes with everything they are built from.

use crate::interrupt::Interrupt;
use anyhow::{Context, anyhow};
use nix::fcntl::{Flock, FlockArg};
use std::{
    env, fs,
    fs::File,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    time::Duration,
};

/// `~/.cache/node-gateway`, made where it is missing.
pub(crate) fn root() -> anyhow::Result<PathBuf> {
    let home = || env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home);
    let root = cache.context("neither XDG_CACHE_HOME nor HOME is set: where may built programs be kept?")?;
    let root = root.join("node-gateway");
    fs::create_dir_all(&root).with_context(|| format!("create {}", root.display()))?;
    Ok(root)
}

/// The directory of `name`, filled by `fill` unless an earlier call has done so with the same `key`.
///
/// Two processes that want the same fill it once. One that is cut short leaves nothing that looks complete.
pub(crate) fn directory(
    name: &str,
    key: impl Hash,
    interrupt: &Interrupt,
    fill: impl FnOnce(&Path) -> anyhow::Result<()>,
) -> anyhow::Result<PathBuf> {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    let root = root()?;
    let directory = root.join(format!("{name}-{:016x}", hasher.finish()));
    if directory.exists() {
        return Ok(directory);
    }
    let unfinished = directory.with_extension("unfinished");
    fs::create_dir_all(&unfinished).with_context(|| format!("create {}", unfinished.display()))?;
    let lock = lock(&unfinished, interrupt)?;
    if directory.exists() {
        // Whoever had the lock before us has filled it, and renamed what we locked.
        return Ok(directory);
    }
    fill(&unfinished)?;
    fs::rename(&unfinished, &directory).with_context(|| format!("create {}", directory.display()))?;
    drop(lock);
    Ok(directory)
}

/// An exclusive lock on a directory, which ends with this process at the latest. Says so when it has to wait.
fn lock(directory: &Path, interrupt: &Interrupt) -> anyhow::Result<Flock<File>> {
    let mut file = File::open(directory).with_context(|| format!("open {}", directory.display()))?;
    let mut said = false;
    loop {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(lock),
            Err((again, nix::Error::EWOULDBLOCK)) => file = again,
            Err((_, error)) => return Err(anyhow!("lock {}: {error}", directory.display())),
        }
        if !said {
            eprintln!("Waiting for another cargo xtask that works on {}", directory.display());
            said = true;
        }
        interrupt.pause(Duration::from_millis(100))?;
    }
}
