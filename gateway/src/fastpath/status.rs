//! What the fast path tells `admin`, the log and the operator.

use super::Unavailable;
use serde::Serialize;
use std::{fmt, path::PathBuf};

/// Where bytes can flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The programs are attached.
    Kernel,
    /// Everything goes through the daemon.
    Userspace,
}

/// The fast path at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    pub mode: Mode,
    /// Why the mode is [`Mode::Userspace`]; with [`Mode::Kernel`], what could not be read.
    pub reason: Option<String>,
    /// The cgroup whose sockets the programs see.
    pub cgroup: Option<PathBuf>,
    pub programs: Vec<ProgramStatus>,
    /// Counted since the object was loaded.
    pub established: Option<Established>,
}

/// A program in the kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProgramStatus {
    /// As `bpftool prog show` prints it.
    pub name: String,
    /// The kernel's id of the program.
    pub id: u32,
    /// Loaded programs that are not attached yet run for nobody.
    pub attached: bool,
}

/// Established TCP sockets. A connection with both ends in the cgroup counts once on each side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Established {
    /// Connections opened.
    pub active: u64,
    /// Connections accepted.
    pub passive: u64,
}

impl Status {
    pub(super) fn userspace(unavailable: &Unavailable) -> Self {
        Self {
            mode: Mode::Userspace,
            reason: Some(unavailable.to_string()),
            cgroup: None,
            programs: Vec::new(),
            established: None,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.mode, &self.reason) {
            (Mode::Userspace, reason) => {
                write!(f, "every byte goes through userspace: {}", reason.as_deref().unwrap_or("no reason is known"))
            }
            (Mode::Kernel, reason) => {
                let attached = self.programs.iter().filter(|program| program.attached).map(|program| &program.name);
                write!(f, "attached")?;
                for name in attached {
                    write!(f, " {name}")?;
                }
                if let Some(cgroup) = &self.cgroup {
                    write!(f, " to {}", cgroup.display())?;
                }
                if let Some(reason) = reason {
                    write!(f, ", but {reason}")?;
                }
                Ok(())
            }
        }
    }
}
