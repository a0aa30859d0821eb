//! Content, servers and a gateway in front of them.

use crate::{
    backends::{Backend, Servers},
    objects,
    world::{Fast, Gateway, World},
};
use fastrand::Rng;
use std::{fs, path::PathBuf};
use tempfile::TempDir;

/// Everything but the gateway.
pub(crate) struct Stage<'a> {
    pub(crate) world: &'a World,
    /// Of the servers, and for what the clients print.
    pub(crate) directory: TempDir,
    /// A file for each size, named by it; and certificates.
    pub(crate) content: PathBuf,
    objects: String,
    _servers: Servers,
}

impl<'a> Stage<'a> {
    /// With the servers of `backends`, and content of each of `sizes`.
    pub(crate) fn set(world: &'a World, backends: &[Backend], sizes: &[usize]) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let content = directory.path().join("content");
        fs::create_dir(&content).expect("a directory");
        let mut bytes = vec![0; sizes.iter().copied().max().unwrap_or_default()];
        Rng::with_seed(8).fill(&mut bytes);
        for size in sizes {
            fs::write(content.join(size.to_string()), &bytes[..*size]).expect("a file");
        }
        let servers = Servers::start(world, directory.path(), &content, backends);
        let objects = objects::serving(&servers, backends, &content);
        Self { world, directory, content, objects, _servers: servers }
    }

    /// A gateway in front of them.
    pub(crate) fn gateway(&self, fast: Fast) -> Gateway<'a> {
        Gateway::start(self.world, fast, &self.objects)
    }
}
