//! The programs of this group: what `cargo xtask programs` has made of the folders beside this file, and what is installed.

use harness::{daemon::workspace, kubernetes::products, servers};
use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};
use tempfile::TempDir;

/// Where they are.
pub(crate) struct Programs {
    /// The Go program.
    pub(crate) go: PathBuf,
    /// What Python finds its libraries in.
    pub(crate) python: PathBuf,
    /// What Node finds its libraries in.
    pub(crate) node: PathBuf,
    pub(crate) envoy: PathBuf,
    /// The classes of the Java program.
    pub(crate) java: PathBuf,
    _java: TempDir,
}

/// Built once.
///
/// # Panics
/// When one cannot be built.
pub(crate) fn programs() -> &'static Programs {
    static PROGRAMS: OnceLock<Programs> = OnceLock::new();
    PROGRAMS.get_or_init(|| {
        let [go, python, node, envoy] = products(["peers-go", "peers-python", "peers-node", "envoy"]);
        let directory = tempfile::tempdir().expect("a directory");
        let java = directory.path().to_owned();
        let mut compile = Command::new("javac");
        compile.arg("-d").arg(&java).arg(file("java/Peer.java"));
        assert!(compile.status().expect("javac").success(), "the Java program cannot be compiled");
        Programs { go: go.join("peer"), python, node, envoy, java, _java: directory }
    })
}

impl Programs {
    /// What programs find their libraries by.
    pub(crate) fn environment(&self) -> [(&'static str, String); 2] {
        [servers::python_path(&self.python), ("NODE_PATH", text(&self.node))]
    }
}

/// A file of this folder.
pub(crate) fn file(name: &str) -> PathBuf {
    workspace().join("tests/peers").join(name)
}

/// As an argument.
pub(crate) fn text(path: &Path) -> String {
    path.display().to_string()
}
