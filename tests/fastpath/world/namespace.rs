//! A network namespace without a name.

use nix::sched::{CloneFlags, setns, unshare};
use std::{
    fs::{self, File},
    os::fd::AsRawFd,
    path::PathBuf,
    process::Command,
    thread,
};

/// Lives as long as this value, and as long as sockets and processes in it do.
pub(crate) struct Namespace {
    file: File,
}

/// Of the calling thread.
fn current() -> File {
    File::open("/proc/thread-self/ns/net").expect("the namespace of this thread")
}

fn enter(namespace: &File) {
    setns(namespace, CloneFlags::CLONE_NEWNET).expect("enter a namespace");
}

/// Takes the thread back where it came from, also when it panics.
struct Return(File);

impl Drop for Return {
    fn drop(&mut self) {
        enter(&self.0);
    }
}

impl Namespace {
    pub(crate) fn new() -> Self {
        let made = thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace of one's own needs root");
            current()
        });
        Self { file: made.join().expect("a namespace") }
    }

    /// Runs `work` inside. What it starts stays there: sockets, threads and processes.
    pub(crate) fn enter<T>(&self, work: impl FnOnce() -> T) -> T {
        let _return = Return(current());
        enter(&self.file);
        work()
    }

    /// What `ip netns` calls a name, for as long as this process lives.
    pub(crate) fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd()))
    }

    pub(crate) fn ip(&self, arguments: &str) {
        self.run(&format!("ip {arguments}"));
    }

    /// Runs a command line of plain words inside and answers with its output.
    pub(crate) fn run(&self, line: &str) -> String {
        let mut words = line.split_whitespace();
        let mut command = Command::new(words.next().expect("a program"));
        let output = self.enter(|| command.args(words).output()).unwrap_or_else(|error| panic!("{line}: {error}"));
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    }

    /// Writes to /proc/sys of the namespace.
    pub(crate) fn sysctl(&self, name: &str, value: &str) {
        let written = self.enter(|| fs::write(format!("/proc/sys/{name}"), value));
        written.unwrap_or_else(|error| panic!("sysctl {name}={value}: {error}"));
    }
}
