//! From bytes to programs that run, and the meaning of what the kernel answers on the way.

use super::{
    Established, Mode, ProgramStatus, Status, Unavailable,
    cgroup::is_cgroup2,
    maps::{self, StatsMap},
};
use aya::{
    Ebpf, EbpfError, EbpfLoader,
    maps::MapError,
    programs::{CgroupAttachMode, Program, ProgramError, SkMsg, SockOps},
};
use gateway_ebpf::{Info, LAYOUT_VERSION, PROGRAM_MSG, PROGRAM_SOCKOPS};
use std::{fs::File, io, path::PathBuf, process};

/// The loaded object. The link and the programs live as long as their file descriptors, which `object` owns: dropping it
/// detaches, and so does the death of the process.
#[derive(Debug)]
pub(super) struct Loaded {
    object: Ebpf,
    stats: StatsMap,
    cgroup: PathBuf,
}

impl Loaded {
    /// Loads `object` and attaches `gw_sockops` to `cgroup`. `gw_msg` is loaded too, which has the verifier judge it, and
    /// stays unattached while no socket is in a socket map.
    ///
    /// # Errors
    /// The step that failed, classified.
    pub(super) fn new(object: &[u8], cgroup: PathBuf) -> Result<Self, Unavailable> {
        let group = File::open(&cgroup).map_err(|source| Unavailable::Cgroup { path: cgroup.clone(), source })?;
        if !is_cgroup2(&cgroup) {
            return Err(Unavailable::NotCgroup2 { path: cgroup });
        }
        let mut object = EbpfLoader::new().load(object).map_err(refused_object)?;
        let stats = StatsMap::take(&mut object)?;
        maps::write_info(&mut object, this_daemon())?;

        let msg: &mut SkMsg = program(&mut object, PROGRAM_MSG)?;
        msg.load().map_err(|error| refused_program(PROGRAM_MSG, error))?;

        let sockops: &mut SockOps = program(&mut object, PROGRAM_SOCKOPS)?;
        sockops.load().map_err(|error| refused_program(PROGRAM_SOCKOPS, error))?;
        // `Single` because bpf links are multi-attach by themselves; asking for it makes the kernel refuse the link.
        sockops.attach(group, CgroupAttachMode::Single).map_err(|error| Unavailable::Attach {
            program: PROGRAM_SOCKOPS,
            cgroup: cgroup.clone(),
            source: io_error(error),
        })?;
        Ok(Self { object, stats, cgroup })
    }

    pub(super) fn status(&self) -> Status {
        let stats = self.stats.read();
        Status {
            mode: Mode::Kernel,
            reason: stats.as_ref().err().map(|error| format!("the counters cannot be read: {error}")),
            cgroup: Some(self.cgroup.clone()),
            programs: self.programs(),
            established: stats.ok().map(Established::from),
        }
    }

    fn programs(&self) -> Vec<ProgramStatus> {
        [(PROGRAM_SOCKOPS, true), (PROGRAM_MSG, false)]
            .into_iter()
            .filter_map(|(name, attached)| {
                let info = self.object.program(name)?.info().ok()?;
                Some(ProgramStatus { name: name.to_owned(), id: info.id(), attached })
            })
            .collect()
    }
}

fn program<'a, P>(object: &'a mut Ebpf, name: &'static str) -> Result<&'a mut P, Unavailable>
where
    &'a mut P: TryFrom<&'a mut Program, Error = ProgramError>,
{
    let found =
        object.program_mut(name).ok_or_else(|| Unavailable::Mismatch { what: format!("it has no program {name}") })?;
    found.try_into().map_err(|error| Unavailable::Mismatch { what: format!("{name}: {error}") })
}

fn this_daemon() -> Info {
    // Cargo guarantees numbers, and a version it did not set is no reason not to start.
    let part = |text: &str| text.parse().unwrap_or(0);
    Info {
        layout_version: LAYOUT_VERSION,
        layout_hash: Info::LAYOUT_HASH,
        pid: process::id(),
        version_major: part(env!("CARGO_PKG_VERSION_MAJOR")),
        version_minor: part(env!("CARGO_PKG_VERSION_MINOR")),
        version_patch: part(env!("CARGO_PKG_VERSION_PATCH")),
        reserved: [0; 3],
    }
}

/// Maps are created while the object loads, so the first refusal of the system call appears here.
fn refused_object(error: EbpfError) -> Unavailable {
    let source = match error {
        EbpfError::MapError(MapError::CreateError { io_error, .. }) => io_error,
        EbpfError::MapError(MapError::SyscallError(error)) => error.io_error,
        other => return Unavailable::Load { source: other },
    };
    match source.raw_os_error() {
        Some(libc::EPERM) => Unavailable::Forbidden { source },
        Some(libc::ENOSYS) => Unavailable::NoSyscall { source },
        _ => Unavailable::Load { source: EbpfError::MapError(MapError::IoError(source)) },
    }
}

fn refused_program(program: &'static str, error: ProgramError) -> Unavailable {
    match error {
        ProgramError::LoadError { io_error, .. } if io_error.raw_os_error() == Some(libc::EPERM) => {
            Unavailable::Forbidden { source: io_error }
        }
        ProgramError::LoadError { io_error, .. } if io_error.raw_os_error() == Some(libc::ENOSYS) => {
            Unavailable::NoSyscall { source: io_error }
        }
        ProgramError::LoadError { io_error, verifier_log } => {
            Unavailable::Refused { program, source: io_error, log: last_line(&verifier_log.to_string()) }
        }
        other => Unavailable::Load { source: EbpfError::ProgramError(other) },
    }
}

/// The verifier's verdict is its last line before the statistics; the log above it can be a megabyte.
fn last_line(log: &str) -> String {
    let mut lines = log.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("processed "));
    lines.next_back().unwrap_or("it gave no reason").to_owned()
}

fn io_error(error: ProgramError) -> io::Error {
    match error {
        ProgramError::SyscallError(error) => error.io_error,
        other => io::Error::other(other),
    }
}

#[cfg(test)]
mod tests {
    use super::last_line;

    #[test]
    fn the_verdict_is_the_last_line_before_the_statistics() {
        let log = "0: R1=ctx()\nR0 !read_ok\nprocessed 1 insns (limit 1000000) max_states_per_insn 0\n\n";
        assert_eq!(last_line(log), "R0 !read_ok");
        assert_eq!(last_line("processed 0 insns"), "it gave no reason");
    }
}
