//! What the tests with real peers run and cannot have from Debian: the Go program of tests/peers, and the libraries of the others.

use super::{cache, go};
use crate::{
    command::{command, run},
    install::{self, Tool},
    interrupt::Interrupt,
    workspace,
};
use anyhow::Context;
use std::{fs, path::PathBuf};

/// The directory with `peer`, built first where that has not been done.
pub(super) fn go(interrupt: &Interrupt) -> anyhow::Result<PathBuf> {
    let module = workspace::root().join("tests/peers/go");
    let mut sources = Vec::new();
    for entry in fs::read_dir(&module).with_context(|| format!("read {}", module.display()))? {
        let path = entry?.path();
        let text = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
        sources.push((path.file_name().map(ToOwned::to_owned), text));
    }
    sources.sort();
    cache::directory("peers-go", sources, interrupt, |directory| {
        eprintln!("Building the Go peer into {} (once)", directory.display());
        let mut build = command(go::find()?, ["build", "-o"]);
        run(build.arg(directory.join("peer")).arg(".").current_dir(&module).env("CGO_ENABLED", "0"), interrupt)
    })
}

/// The directory with the libraries that tests/peers/python/requirements.txt pins, for PYTHONPATH.
pub(super) fn python(interrupt: &Interrupt) -> anyhow::Result<PathBuf> {
    let requirements = workspace::root().join("tests/peers/python/requirements.txt");
    let text = fs::read(&requirements).with_context(|| format!("read {}", requirements.display()))?;
    // Compiled libraries belong to a version of Python.
    let version = crate::command::output(&mut command("python3", ["--version"]), interrupt)
        .context("the tests with real peers run Python programs: install python3")?;
    cache::directory("peers-python", (text, version), interrupt, |directory| {
        install::tools(&[Tool { program: "pip3", package: "python3-pip" }], interrupt)?;
        eprintln!("Installing libraries of Python into {} (once)", directory.display());
        let mut pip = command("python3", ["-m", "pip", "install", "--quiet", "--root-user-action=ignore"]);
        pip.args(["--disable-pip-version-check", "--only-binary=:all:", "--target"]).arg(directory);
        run(pip.arg("--requirement").arg(&requirements), interrupt)
    })
}

/// The directory with the libraries that tests/peers/node/package-lock.json pins, for NODE_PATH.
pub(super) fn node(interrupt: &Interrupt) -> anyhow::Result<PathBuf> {
    let folder = workspace::root().join("tests/peers/node");
    let read = |name| fs::read(folder.join(name)).with_context(|| format!("read {}/{name}", folder.display()));
    let files = [("package.json", read("package.json")?), ("package-lock.json", read("package-lock.json")?)];
    let directory = cache::directory("peers-node", &files, interrupt, |directory| {
        install::tools(&[Tool { program: "npm", package: "npm" }], interrupt)?;
        eprintln!("Installing libraries of Node into {} (once)", directory.display());
        for (name, text) in &files {
            fs::write(directory.join(name), text).with_context(|| format!("write {}/{name}", directory.display()))?;
        }
        let mut npm = command("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]);
        run(npm.current_dir(directory), interrupt)
    })?;
    Ok(directory.join("node_modules"))
}
