//! A network namespace without a name: it ends with this process, however that ends.

use crate::interrupt::Interrupt;
use anyhow::{Context, anyhow, ensure};
use nix::sched::{CloneFlags, setns, unshare};
use std::{
    fs::{self, File},
    os::fd::AsRawFd,
    path::PathBuf,
    process::Command,
    thread,
};

/// Lives as long as this value, and as long as sockets and processes in it do.
pub(super) struct Namespace {
    file: File,
}

/// Of the calling thread.
fn current() -> anyhow::Result<File> {
    File::open("/proc/thread-self/ns/net").context("open the network namespace of this thread")
}

/// Takes the thread back where it came from, also when it panics.
struct Return(File);

impl Drop for Return {
    fn drop(&mut self) {
        if let Err(error) = setns(&self.0, CloneFlags::CLONE_NEWNET) {
            eprintln!("error: cannot return to the host's network: {error}");
        }
    }
}

impl Namespace {
    pub(super) fn new() -> anyhow::Result<Self> {
        let made = thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).context("make a network namespace")?;
            current()
        });
        Ok(Self { file: made.join().map_err(|panicked| anyhow!("make a namespace: {panicked:?}"))?? })
    }

    /// Runs `work` inside. What it starts stays there: sockets, threads and processes.
    pub(super) fn enter<T>(&self, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
        let _return = Return(current()?);
        setns(&self.file, CloneFlags::CLONE_NEWNET).context("enter a network namespace")?;
        work()
    }

    /// What `ip netns` calls a name, for as long as this process lives.
    pub(super) fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd()))
    }

    pub(super) fn ip(&self, arguments: &str, interrupt: &Interrupt) -> anyhow::Result<()> {
        interrupt.check()?;
        let mut command = Command::new("ip");
        let output = self.enter(|| command.args(arguments.split(' ')).output().context("run ip (package iproute2)"))?;
        ensure!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr).trim());
        Ok(())
    }

    /// Writes to /proc/sys of the namespace.
    pub(super) fn sysctl(&self, name: &str, value: &str) -> anyhow::Result<()> {
        let path = format!("/proc/sys/{name}");
        self.enter(|| fs::write(&path, value).with_context(|| format!("write {value} to {path}")))
    }
}
