//! Child processes that end with the test, however it ends.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus},
    time::Duration,
};

use crate::wait;

/// A running program with its output in a file. Killed when dropped, and by the kernel when the test dies.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `program` with `arguments`; standard output and error go to `<directory>/<name>.log`.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(
        name: &str,
        directory: &Path,
        program: &Path,
        arguments: &[String],
        environment: &[(&str, String)],
    ) -> Self {
        let log = directory.join(format!("{name}.log"));
        let output = File::options().create(true).append(true).open(&log).expect("a log file");
        let errors = output.try_clone().expect("a second handle of the log file");
        // The signal comes when the starting thread ends, which holds this value.
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .arg(program)
            .args(arguments)
            .envs(environment.iter().map(|(key, value)| (key, value)))
            .stdin(std::process::Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {name} ({}): {error}", program.display()));
        Self { name: name.to_owned(), child, log }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has written so far.
    pub fn output(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The last lines it has written.
    pub fn tail(&self) -> String {
        let output = self.output();
        let lines: Vec<&str> = output.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }

    /// # Panics
    /// When it has ended.
    pub fn assert_running(&mut self) {
        if let Some(status) = self.child.try_wait().expect("a child of ours") {
            panic!("{} has ended with {status}:\n{}", self.name, self.tail());
        }
    }

    /// Sends a signal: `TERM`, `KILL`, `STOP` …
    ///
    /// # Panics
    /// When there is no such signal or process.
    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        let id = nix::unistd::Pid::from_raw(i32::try_from(self.id()).expect("a process id"));
        nix::sys::signal::kill(id, signal).expect("a child of ours");
    }

    /// Waits until it has ended.
    ///
    /// # Panics
    /// When it goes on for longer than `limit`.
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        wait::until(&format!("{} to end", self.name), limit, || self.child.try_wait().expect("a child of ours"))
    }

    /// Kills it and waits for its end.
    pub fn kill(&mut self) {
        if self.child.try_wait().ok().flatten().is_none() {
            let killed: io::Result<()> = self.child.kill();
            if killed.is_ok() {
                let _ = self.child.wait();
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            println!("--- the last words of {}:\n{}", self.name, self.tail());
        }
    }
}
