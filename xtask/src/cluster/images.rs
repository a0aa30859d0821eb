//! Images without a registry: the pause image is made here, all others are loaded from files.

use super::instance::Instance;
use crate::{
    command::{command, output, rendered},
    interrupt::Interrupt,
};
use anyhow::{Context, bail};
use serde_json::json;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// What holds the namespaces of every pod, and what a pod without a program of its own runs.
pub(crate) const PAUSE: &str = "localhost/pause:dev";
const SOURCE: &str = include_str!("images/pause.c");

/// The program of the pause image, which is also the first of every node.
pub(crate) fn pause_program(instance: &Instance) -> PathBuf {
    instance.path("pause/pause")
}

/// Makes the pause image and returns its file.
pub(crate) fn make_pause(instance: &Instance, interrupt: &Interrupt) -> anyhow::Result<PathBuf> {
    let directory = instance.path("pause");
    fs::create_dir_all(&directory).with_context(|| format!("create {}", directory.display()))?;
    let write =
        |name: &str, text: String| fs::write(directory.join(name), text).with_context(|| format!("write {name}"));
    let run = |line: &str| {
        let mut words = line.split(' ');
        let mut command = command(words.next().unwrap_or_default(), words);
        output(command.current_dir(&directory), interrupt)
    };
    write("pause.c", SOURCE.to_owned())?;
    run("cc -static -O2 -o pause pause.c")?;
    run("tar --owner=0 --group=0 -cf layer.tar pause")?;
    let digest = run("sha256sum layer.tar")?;
    let digest = digest.split(' ').next().unwrap_or_default();
    let configuration = json!({
        "architecture": architecture(), "os": "linux", "config": {"Entrypoint": ["/pause"]},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{digest}")]},
    });
    write("config.json", configuration.to_string())?;
    let manifest = json!([{"Config": "config.json", "RepoTags": [PAUSE], "Layers": ["layer.tar"]}]);
    write("manifest.json", manifest.to_string())?;
    run("tar -cf image.tar manifest.json config.json layer.tar")?;
    Ok(directory.join("image.tar"))
}

/// As Go, and so every image, calls it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// Loads the image in `file`, as `docker save` writes it, into a node; returns at once.
pub(crate) fn load(ctr: &Path, socket: &Path, file: &Path) -> anyhow::Result<Loading> {
    let mut command = Command::new(ctr);
    command.arg("--address").arg(socket).args(["--namespace", "k8s.io", "images", "import", "--local"]).arg(file);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().with_context(|| format!("run {}", rendered(&command)))?;
    Ok(Loading { command: rendered(&command), child })
}

/// An image on its way into a node.
#[derive(Debug)]
pub(crate) struct Loading {
    command: String,
    child: Child,
}

impl Loading {
    /// # Errors
    /// When containerd refuses it, with what it says.
    pub(crate) fn finish(self) -> anyhow::Result<()> {
        let output = self.child.wait_with_output()?;
        if !output.status.success() {
            bail!("{} failed: {}", self.command, String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    }
}
