//! A process of the cluster: it outlives the verb that started it, and is found again by its cgroup.

use super::{cgroups, instance::Instance, network};
use crate::command::rendered;
use anyhow::{Context, bail};
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// Where a process runs.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// cgroups, one a hierarchy.
    cgroups: Vec<PathBuf>,
    /// What brings it into its namespaces.
    enter: Vec<String>,
}

impl Place {
    /// Beside the API server.
    pub(crate) fn control(instance: &Instance) -> anyhow::Result<Self> {
        let namespace = network::namespace_file(&instance.control_namespace());
        Ok(Self {
            cgroups: vec![cgroups::unified()?.join(instance.prefix()).join(cgroups::CONTROL)],
            enter: vec!["nsenter".to_owned(), format!("--net={namespace}")],
        })
    }

    pub(crate) fn new(cgroups: Vec<PathBuf>, enter: &[String]) -> Self {
        Self { cgroups, enter: [&["nsenter".to_owned()], enter].concat() }
    }
}

/// Joins the cgroups in front of `--` and becomes what is after it.
const JOIN: &str = r#"while [ "$1" != -- ]; do echo $$ > "$1/cgroup.procs" || exit 1; shift; done; shift; exec "$@""#;

/// A process that was started by this verb.
#[derive(Debug)]
pub(crate) struct Daemon {
    pub(crate) name: String,
    child: Child,
    log: PathBuf,
}

/// What to run.
#[derive(Debug)]
pub(crate) struct Program<'a> {
    pub(crate) name: &'a str,
    pub(crate) path: &'a Path,
    pub(crate) arguments: Vec<String>,
    pub(crate) environment: Vec<(&'static str, String)>,
}

/// Starts `program` in a session of its own; what it says goes to `logs/NAME.log`.
pub(crate) fn start(instance: &Instance, place: &Place, program: Program<'_>) -> anyhow::Result<Daemon> {
    let log = instance.logs().join(format!("{}.log", program.name));
    let output = File::create(&log).with_context(|| format!("create {}", log.display()))?;
    let errors = output.try_clone()?;
    // containerd looks for its shim beside itself.
    let beside = program.path.parent().unwrap_or(program.path).display();
    let mut command = Command::new("sh");
    command.args(["-c", JOIN, "sh"]).args(&place.cgroups).arg("--").arg("setsid").args(&place.enter).arg("--");
    command.arg(program.path).args(&program.arguments);
    command
        .env_clear()
        .env("PATH", format!("{beside}:/usr/sbin:/usr/bin:/sbin:/bin"))
        .env("HOME", instance.directory())
        .envs(program.environment)
        .current_dir(instance.directory())
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors);
    let child = command.spawn().with_context(|| format!("run {}", rendered(&command)))?;
    Ok(Daemon { name: program.name.to_owned(), child, log })
}

impl Daemon {
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// # Errors
    /// When it has ended, with its last words.
    pub(crate) fn check(&mut self) -> anyhow::Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("{} has ended ({status}):\n{}", self.name, self.last_words());
        }
        Ok(())
    }

    /// Kills it.
    pub(crate) fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// The end of its log.
    pub(crate) fn last_words(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }
}

/// When `process` started, in clock ticks since the machine did; `None` when there is no such process, or only its
/// remains.
pub(crate) fn start_time(process: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name is in parentheses and may contain anything; field 3 follows it (proc(5)).
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    if matches!(fields.first(), Some(&"Z" | &"X")) {
        return None;
    }
    fields.get(19)?.parse().ok()
}
