//! One image: a directory and a Dockerfile, built by buildah and written to a file.

use crate::{
    command::{self, command},
    interrupt::Interrupt,
};
use anyhow::{Context as _, ensure};
use std::{
    fmt, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Its name in a [`Context`].
pub(super) const DOCKERFILE: &str = "Dockerfile";

/// A built image.
#[derive(Debug)]
pub(crate) struct Archive {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    /// Of the archive, which is not compressed: the image's size on a node.
    pub(crate) bytes: u64,
    /// The same compressed as registries keep it: what a node pulls.
    pub(crate) pulled: u64,
    /// The image's identity, `sha256:…`: the digest of its configuration, as `docker images` and `crictl images` show it.
    pub(crate) digest: String,
}

impl fmt::Display for Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [unpacked, pulled] = [self.bytes, self.pulled].map(|bytes| (bytes * 10) >> 20);
        let (path, name, digest) = (self.path.display(), &self.name, &self.digest);
        let mebibytes = |tenths: u64| format!("{}.{} MiB", tenths / 10, tenths % 10);
        write!(f, "{path}  {name}  {}, {} to pull  {digest}", mebibytes(unpacked), mebibytes(pulled))
    }
}

/// The directory an image is built from. Removed when dropped.
#[derive(Debug)]
pub(super) struct Context(PathBuf);

impl Context {
    fn new(beside: &Path) -> anyhow::Result<Self> {
        let directory = beside.with_extension(format!("build-{}", std::process::id()));
        fs::create_dir_all(directory.join("context")).with_context(|| format!("create {}", directory.display()))?;
        Ok(Self(directory))
    }

    fn files(&self) -> PathBuf {
        self.0.join("context")
    }

    /// Copies `file` to `name`, with the folders on the way.
    pub(super) fn copy(&self, file: &Path, name: &str) -> anyhow::Result<()> {
        let target = self.place(name)?;
        fs::copy(file, &target).with_context(|| format!("copy {} to {}", file.display(), target.display()))?;
        Ok(())
    }

    /// Copies a program without its symbols, which are a quarter of it; nobody in an image reads them.
    pub(super) fn strip(&self, program: &Path, name: &str, interrupt: &Interrupt) -> anyhow::Result<()> {
        let target = self.place(name)?;
        let mut strip = command("strip", ["--strip-all", "-o"]);
        command::output(strip.arg(target).arg(program), interrupt)?;
        Ok(())
    }

    pub(super) fn write(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let target = self.place(name)?;
        fs::write(&target, text).with_context(|| format!("write {}", target.display()))
    }

    pub(super) fn link(&self, target: &str, name: &str) -> anyhow::Result<()> {
        let link = self.place(name)?;
        std::os::unix::fs::symlink(target, &link).with_context(|| format!("link {}", link.display()))
    }

    fn place(&self, name: &str) -> anyhow::Result<PathBuf> {
        let path = self.files().join(name.trim_start_matches('/'));
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).with_context(|| format!("create {}", parent.display()))?;
        }
        Ok(path)
    }

    /// buildah with a storage of its own in here: the machine's images are none of ours.
    fn buildah(&self) -> Command {
        let mut buildah = command("buildah", ["--storage-driver", "vfs", "--root"]);
        buildah.arg(self.0.join("storage")).arg("--runroot").arg(self.0.join("run"));
        buildah
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Builds the image `name` from what `fill` puts into its context, a [`DOCKERFILE`] among it, and writes it to `output`.
pub(super) fn build(
    name: &str,
    output: &Path,
    interrupt: &Interrupt,
    fill: impl FnOnce(&Context) -> anyhow::Result<()>,
) -> anyhow::Result<Archive> {
    let context = Context::new(output)?;
    fill(&context)?;
    let mut build = context.buildah();
    // The same files give the same digest whenever it is built.
    build.args(["build", "--quiet", "--isolation", "chroot", "--timestamp", "0", "--tag", name, "--file"]);
    build.arg(context.files().join(DOCKERFILE)).arg(context.files());
    let said = command::output(&mut build, interrupt)?;
    let id = said.lines().last().unwrap_or_default().trim();
    ensure!(id.len() >= 64, "buildah names no image: {said}");
    let temporary = context.0.join("archive.tar");
    let mut push = context.buildah();
    push.args(["push", "--quiet", name]).arg(format!("docker-archive:{}:{name}", temporary.display()));
    command::output(&mut push, interrupt)?;
    fs::rename(&temporary, output).with_context(|| format!("write {}", output.display()))?;
    let bytes = fs::metadata(output)?.len();
    let mut gzip = command::command("sh", ["-c", r#"gzip --stdout "$0" | wc --bytes"#]);
    let pulled = command::output(gzip.arg(output), interrupt)?;
    let pulled = pulled.trim().parse().with_context(|| format!("wc says {pulled:?}"))?;
    let digest = format!("sha256:{}", id.trim_start_matches("sha256:"));
    Ok(Archive { name: name.to_owned(), path: output.to_owned(), bytes, pulled, digest })
}
