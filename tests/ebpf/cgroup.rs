//! Processes inside and outside of the test's cgroup.

pub(crate) use harness::cgroup::TestCgroup;

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
};

/// The reviews backend as a process; killed on drop.
pub(crate) struct Backend {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Backend {
    /// Started by `command`, which runs the program it is given.
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.args(["--version", "v1"]).stdout(Stdio::piped()).spawn().expect("start the backend");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("read the backend's port");
        let address = line.trim().strip_prefix("listening on ").expect("the backend's first line").parse();
        Self { child, address: address.expect("an address") }
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
