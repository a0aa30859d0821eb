//! Building a product with Go.

use super::{cache, product::Product};
use crate::{
    command::{self, command, output},
    install,
    interrupt::Interrupt,
    output::step,
    workspace,
};
use anyhow::{Context, bail};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Where Go's own archive is unpacked, which few put on root's search path.
const USUAL_PLACE: &str = "/usr/local/go/bin/go";

/// The Go command.
pub(crate) fn find() -> anyhow::Result<PathBuf> {
    let usual = || Some(PathBuf::from(USUAL_PLACE)).filter(|go| go.is_file());
    install::find("go").or_else(usual).context(
        "a real Kubernetes is built from its Go modules: install Go 1.26 or newer (https://go.dev/dl) and put it on \
         the PATH",
    )
}

/// The directory with the programs of `product`, built first where that has not been done.
pub(super) fn build(product: &Product, interrupt: &Interrupt) -> anyhow::Result<PathBuf> {
    let module = workspace::root().join("xtask/modules").join(product.name);
    let read = |file| fs::read(module.join(file)).with_context(|| format!("read {}/{file}", module.display()));
    let packages: Vec<&str> = product.programs.iter().map(|program| program.package).collect();
    let key = (read("go.mod")?, read("go.sum")?, product.flags, product.variables, &packages);
    cache::directory(product.name, key, interrupt, |directory| {
        let go = find()?;
        eprintln!(
            "Building {} from its Go modules into {} (once; about {} minutes on two cores)",
            product.name,
            directory.display(),
            product.minutes
        );
        for program in product.programs {
            step(program.file(), |bar| {
                let mut build = go_in(&go, &module);
                // One at a time: linking two of these at once takes more memory than many a laptop has to spare.
                build.args(["build", "-v", "-ldflags", &linker_flags(product)]).args(product.flags).arg("-o");
                build.arg(directory.join(program.file())).arg(program.package).env("CGO_ENABLED", "0");
                command::watch(&mut build, interrupt, bar)?;
                let mut version = command(directory.join(program.file()), program.version);
                let said = output(&mut version, interrupt).context("the program that was built does not run")?;
                Ok(said.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(70).collect())
            })?;
        }
        Ok(())
    })
}

fn linker_flags(product: &Product) -> String {
    let variables = product.variables.iter().map(|(name, value)| format!(" -X {name}={value}"));
    format!("-s -w{}", variables.collect::<String>())
}

/// Where the only module that `module` requires directly has its sources.
pub(super) fn sources(module: &str, of: &str, interrupt: &Interrupt) -> anyhow::Result<PathBuf> {
    let folder = workspace::root().join("xtask/modules").join(module);
    let mut download = go_in(&find()?, &folder);
    let said = output(download.args(["mod", "download", "-json", of]), interrupt)?;
    let said: serde_json::Value = serde_json::from_str(&said).context("go mod download does not answer in JSON")?;
    match said["Dir"].as_str() {
        Some(directory) => Ok(PathBuf::from(directory)),
        None => bail!("go mod download does not say where {of} is: {said}"),
    }
}

fn go_in(go: &Path, module: &Path) -> Command {
    let mut command = command(go, [] as [&str; 0]);
    command.current_dir(module);
    command
}
