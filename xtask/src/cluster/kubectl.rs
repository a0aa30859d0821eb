//! kubectl, as the administrator of one cluster.

use super::instance::Instance;
use crate::{
    command::{command, output, rendered},
    interrupt::Interrupt,
};
use anyhow::{Context, bail};
use std::{
    ffi::OsStr,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Runs kubectl.
#[derive(Clone, Debug)]
pub(crate) struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
    cache: PathBuf,
}

impl Kubectl {
    pub(crate) fn new(program: PathBuf, instance: &Instance) -> Self {
        Self { program, kubeconfig: instance.kubeconfig(), cache: instance.path("kubectl-cache") }
    }

    pub(crate) fn command(&self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        let mut command = command(&self.program, arguments);
        // What it remembers about the API of this cluster would be wrong for the next at the same address.
        command.env("KUBECONFIG", &self.kubeconfig).env("KUBECACHEDIR", &self.cache);
        command
    }

    /// What `kubectl LINE` prints.
    pub(crate) fn output(&self, line: &str, interrupt: &Interrupt) -> anyhow::Result<String> {
        output(&mut self.command(line.split(' ')), interrupt)
    }

    /// Applies a manifest.
    pub(crate) fn apply(&self, manifest: &str, interrupt: &Interrupt) -> anyhow::Result<()> {
        interrupt.check()?;
        let mut command = self.command(["apply", "-f", "-"]);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("run {}", rendered(&command)))?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(manifest.as_bytes()).context("hand a manifest to kubectl")?;
        }
        let output = child.wait_with_output()?;
        interrupt.check()?;
        if !output.status.success() {
            bail!("{} failed: {}", rendered(&command), String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    }

    /// Applies the manifest in `file`.
    pub(crate) fn apply_file(&self, file: &Path, interrupt: &Interrupt) -> anyhow::Result<()> {
        output(self.command(["apply", "--server-side", "-f"]).arg(file), interrupt).map(drop)
    }
}
