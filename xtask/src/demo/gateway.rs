//! The programs of the demo as processes that end when their guard does.

use super::{
    client,
    place::{Place, Role, Version},
};
use crate::{command::rendered, interrupt::Interrupt, workspace};
use anyhow::{Context, bail, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    net::SocketAddr,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

/// What a drain with nothing to wait for may take.
const STOP_LIMIT: Duration = Duration::from_secs(5);
const START_LIMIT: Duration = Duration::from_secs(15);

/// A running program; ended on drop.
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    fn start(command: &mut Command, log: PathBuf) -> anyhow::Result<Self> {
        let file = File::create(&log).with_context(|| format!("create {}", log.display()))?;
        // A group of its own: Ctrl-C at the terminal reaches only us, and we end things in order.
        command.process_group(0).stdin(Stdio::null()).stderr(file);
        let child = command.spawn().with_context(|| format!("run {}", rendered(command)))?;
        Ok(Self { child, log })
    }

    /// Still there? Else an error with what it said last.
    fn check(&mut self, what: &str) -> anyhow::Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("{what} ended ({status}):\n{}", self.last_words());
        }
        Ok(())
    }

    fn last_words(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }

    /// SIGTERM, and SIGKILL to who does not hear.
    fn stop(&mut self) -> anyhow::Result<ExitStatus> {
        if let Some(status) = self.child.try_wait()? {
            return Ok(status);
        }
        if let Ok(pid) = i32::try_from(self.child.id()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        let started = Instant::now();
        // Nobody sends: the timeout is the pause between two looks.
        let (_sender, pause) = std::sync::mpsc::channel::<()>();
        while started.elapsed() < STOP_LIMIT {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            let _ = pause.recv_timeout(Duration::from_millis(5));
        }
        self.child.kill()?;
        Ok(self.child.wait()?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.stop();
    }
}

/// Starts reviews and returns where it listens.
pub(crate) fn start_reviews(place: &dyn Place, version: Version, logs: &Path) -> anyhow::Result<(Process, SocketAddr)> {
    let mut command = place.command(Role::Reviews(version), workspace::quick_binary("reviews").as_os_str());
    command.args(["--version", version.name(), "--podname", version.pod()]);
    command.arg("--listen").arg(place.backend_address(version).to_string()).stdout(Stdio::piped());
    let mut process = Process::start(&mut command, logs.join(format!("reviews-{}.log", version.name())))?;
    let mut line = String::new();
    if let Some(stdout) = process.child.stdout.take() {
        BufReader::new(stdout).read_line(&mut line)?;
    }
    let address = line.trim().strip_prefix("listening on ").and_then(|address| address.parse().ok());
    let address =
        address.with_context(|| format!("reviews {} did not start:\n{}", version.name(), process.last_words()))?;
    Ok((process, address))
}

/// The daemon.
pub(crate) struct Gateway(Process);

impl Gateway {
    /// Starts it on the objects in `directory` and waits until it is ready.
    pub(crate) fn start(
        place: &dyn Place,
        directory: &Path,
        logs: &Path,
        fastpath: &str,
        interrupt: &Interrupt,
    ) -> anyhow::Result<Self> {
        let mut command = place.command(Role::Gateway, workspace::quick_binary("gateway").as_os_str());
        command.arg("run").arg("-f").arg(directory).args(["--fastpath", fastpath]);
        command.arg("--port-map").arg(format!("80={}", place.traffic().port()));
        command.arg("--listen-address").arg(place.traffic().ip().to_string());
        command.arg("--admin").arg(place.admin().to_string());
        command.args([
            "--readiness",
            "off",
            "--metrics",
            "off",
            "--drain-announce-seconds",
            "0",
            "--drain-seconds",
            "2",
        ]);
        match place.cgroup() {
            Some(cgroup) => command.arg("--fastpath-cgroup").arg(cgroup),
            None => &mut command,
        };
        let mut process = Process::start(command.stdout(Stdio::null()), logs.join("gateway.log"))?;
        let started = Instant::now();
        loop {
            process.check("the gateway")?;
            match client::admin(place, "/readyz", interrupt) {
                Ok(_) => return Ok(Self(process)),
                Err(error) => {
                    let late = started.elapsed() > START_LIMIT;
                    ensure!(!late, "the gateway is not ready: {error:#}\n{}", process.last_words());
                }
            }
            interrupt.pause(Duration::from_millis(20))?;
        }
    }

    /// Drains it.
    ///
    /// # Errors
    /// When it does not exit with success.
    pub(crate) fn stop(&mut self) -> anyhow::Result<()> {
        let status = self.0.stop()?;
        ensure!(status.success(), "the gateway did not stop cleanly ({status}):\n{}", self.0.last_words());
        Ok(())
    }
}
