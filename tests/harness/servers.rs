//! How servers that people run are started, where more than one group starts them.

use crate::daemon::workspace;
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;

/// The program that `source` is, a file of Go that needs no other. Built once, while there is a network to build in.
///
/// # Panics
/// When it cannot be built.
pub fn go(source: &Path) -> PathBuf {
    static BUILT: Mutex<BTreeMap<PathBuf, TempDir>> = Mutex::new(BTreeMap::new());
    let mut built = BUILT.lock();
    let directory = built.entry(source.to_owned()).or_insert_with(|| {
        let directory = tempfile::tempdir().expect("a directory");
        let go = ["go", "/usr/local/go/bin/go"].into_iter().find(|go| Command::new(go).arg("version").output().is_ok());
        let mut build = Command::new(go.expect("Go is not installed: see https://go.dev/doc/install"));
        build.args(["build", "-o", "program"]).arg(source).current_dir(directory.path());
        assert!(build.status().expect("go build").success(), "{} cannot be built", source.display());
        directory
    });
    directory.path().join("program")
}

/// The configuration that `template` is once its `words` are replaced, in `directory`.
///
/// # Panics
/// When there is no such template, or no room.
pub fn configured(template: &Path, directory: &Path, words: &[(&str, String)]) -> PathBuf {
    let text = fs::read_to_string(template).expect("a configuration");
    let filled = words.iter().fold(text, |text, (word, value)| text.replace(word, value));
    let path = directory.join(template.file_name().expect("a file"));
    fs::write(&path, filled).expect("write the configuration");
    path
}

/// Where Python finds `libraries`, and how servers of ASGI are started (`import asgi`).
pub fn python_path(libraries: &Path) -> (&'static str, String) {
    let ours = workspace().join("tests/harness/servers");
    ("PYTHONPATH", format!("{}:{}", libraries.display(), ours.display()))
}

/// Envoy's arguments for one that works with `config`.
pub fn envoy_arguments(config: &Path) -> Vec<String> {
    let line = "--concurrency 1 --use-dynamic-base-id -l error --file-flush-interval-msec 100 -c";
    line.split(' ').map(str::to_owned).chain([config.display().to_string()]).collect()
}
