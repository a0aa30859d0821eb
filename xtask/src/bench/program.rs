//! Programs that run for as long as a cell needs them.

use super::place::{Place, Side};
use crate::{command::rendered, interrupt::Interrupt};
use anyhow::{Context, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    fs::{self, File},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

/// Which CPUs a program may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cpu {
    /// Load and pods.
    Load,
    /// The device under test.
    Device,
    /// All there are.
    Any,
}

/// What to start.
pub(super) struct Start<'a> {
    pub(super) name: &'a str,
    pub(super) program: &'a Path,
    pub(super) arguments: &'a [String],
    pub(super) cpu: Cpu,
    /// Inside means the cgroup of peers, for the gateway its own.
    pub(super) cgroup: Option<PathBuf>,
}

/// A running program with its output in a file. Ended when dropped, and killed by the kernel when we die.
pub(super) struct Program {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Cpu {
    fn list(self) -> Option<&'static str> {
        match self {
            Self::Load => Some("0"),
            Self::Device => Some("1"),
            Self::Any => None,
        }
    }
}

impl Side {
    /// The cgroup to join, if any.
    pub(super) fn cgroup(self, place: &Place) -> Option<PathBuf> {
        (self == Self::Inside).then(|| place.cgroup.peers())
    }
}

/// `program` in a cgroup, on a CPU, and killed with us. The shell joins the cgroup before a socket can be opened.
pub(super) fn confined(program: &Path, cpu: Cpu, cgroup: Option<&Path>) -> Command {
    let join = cgroup.map_or_else(String::new, |path| format!("echo $$ > '{}/cgroup.procs' && ", path.display()));
    let pin = cpu.list().map_or_else(String::new, |list| format!("taskset -c {list} "));
    let mut command = Command::new("setpriv");
    // The largest cell has 2,000 connections on both sides.
    let script = format!(r#"ulimit -n $(ulimit -Hn) && {join}exec {pin}"$@""#);
    command.args(["--pdeathsig", "KILL", "--", "bash", "-c", &script, "bash"]).arg(program);
    command
}

impl Program {
    /// Starts it in the namespace of the calling thread.
    pub(super) fn start(place: &Place, start: &Start<'_>) -> anyhow::Result<Self> {
        let log = place.directory().join(format!("{}.log", start.name));
        let output = File::create(&log).with_context(|| format!("create {}", log.display()))?;
        let errors = output.try_clone()?;
        let mut command = confined(start.program, start.cpu, start.cgroup.as_deref());
        command.args(start.arguments);
        let child = command
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .with_context(|| format!("run {}", rendered(&command)))?;
        Ok(Self { name: start.name.to_owned(), child, log })
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Fails, with its last words, when it has ended.
    pub(super) fn check(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => bail!("{} has ended ({status}): {}", self.name, self.last_words()),
            Err(error) => bail!("{}: {error}", self.name),
        }
    }

    fn last_words(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(3)..].join(" / ").chars().take(400).collect()
    }

    /// Waits until `address` accepts connections from the caller's namespace.
    pub(super) fn until_listening(
        &mut self,
        place: &Place,
        address: &str,
        interrupt: &Interrupt,
    ) -> anyhow::Result<()> {
        let socket: SocketAddr = address.parse().with_context(|| format!("{address} is no address"))?;
        let name = self.name.clone();
        until(&format!("{name} to listen on {address}"), Duration::from_secs(60), interrupt, || {
            self.check()?;
            let connected =
                place.caller.enter(|| Ok(TcpStream::connect_timeout(&socket, Duration::from_secs(1)).is_ok()))?;
            Ok(connected.then_some(()))
        })
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Asked first: our gateway takes what it has in the kernel with it.
        if let Ok(id) = i32::try_from(self.child.id()) {
            let _ = kill(Pid::from_raw(id), Signal::SIGTERM);
        }
        // Nobody sends: the timeout is the pause. Signals are no reason to leave, they are what leads here.
        let (_sender, pause) = mpsc::channel::<()>();
        for _ in 0..150 {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            let _ = pause.recv_timeout(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks `condition` every 20 ms until it answers with a value.
pub(super) fn until<T>(
    what: &str,
    limit: Duration,
    interrupt: &Interrupt,
    mut condition: impl FnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(value) = condition()? {
            return Ok(value);
        }
        if Instant::now() > deadline {
            bail!("waited {} s for {what}", limit.as_secs());
        }
        interrupt.pause(Duration::from_millis(20))?;
    }
}
