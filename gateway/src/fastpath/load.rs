//! From bytes to programs that run, and the meaning of what the kernel answers on the way.

use super::{
    Unavailable, btf,
    cgroup::is_cgroup2,
    maps::{Maps, Wire},
    syscall,
};
use aya::{
    Ebpf, EbpfError, EbpfLoader,
    maps::MapError,
    programs::{
        CgroupAttachMode, Program, ProgramError, RawTracePoint, RawTracePointRunOptions, SkMsg, SockOps, TestRun as _,
    },
};
use gateway_ebpf::{Info, LAYOUT_VERSION, PROGRAM_MSG, PROGRAM_QUEUE, PROGRAM_SOCKOPS};
use parking_lot::{Mutex, MutexGuard};
use std::{fs::File, io, os::fd::AsFd as _, path::PathBuf, process};

/// The loaded object. The link and the programs live as long as their file descriptors, which `object` owns: dropping it
/// detaches, and so does the death of the process.
#[derive(Debug)]
pub(super) struct Loaded {
    object: Ebpf,
    maps: Mutex<Maps>,
    pub(super) cgroup: PathBuf,
}

impl Loaded {
    /// Loads `object`, attaches `gw_msg` to the map of sockets and `gw_sockops` to `cgroup`.
    ///
    /// # Errors
    /// The step that failed, classified.
    pub(super) fn new(object: &[u8], cgroup: PathBuf) -> Result<Self, Unavailable> {
        let group = File::open(&cgroup).map_err(|source| Unavailable::Cgroup { path: cgroup.clone(), source })?;
        if !is_cgroup2(&cgroup) {
            return Err(Unavailable::NotCgroup2 { path: cgroup });
        }
        let offsets = Wire(btf::offsets()?);
        let mut object =
            EbpfLoader::new().override_global("gw_offsets", &offsets, true).load(object).map_err(refused_object)?;
        let mut maps = Maps::take(&mut object)?;
        maps.set_info(this_daemon()).map_err(unusable)?;

        let queue: &mut RawTracePoint = program(&mut object, PROGRAM_QUEUE)?;
        queue.load().map_err(|error| refused_program(PROGRAM_QUEUE, error))?;

        let msg: &mut SkMsg = program(&mut object, PROGRAM_MSG)?;
        msg.load().map_err(|error| refused_program(PROGRAM_MSG, error))?;
        let refused = |program, cgroup: &PathBuf, source| Unavailable::Attach { program, cgroup: cgroup.clone(), source };
        let fd = msg.fd().map_err(|error| refused(PROGRAM_MSG, &cgroup, io_error(error)))?;
        syscall::attach_to_sockets(fd.as_fd(), maps.sockets())
            .map_err(|source| refused(PROGRAM_MSG, &cgroup, source))?;

        let sockops: &mut SockOps = program(&mut object, PROGRAM_SOCKOPS)?;
        sockops.load().map_err(|error| refused_program(PROGRAM_SOCKOPS, error))?;
        // `Single` because bpf links are multi-attach by themselves; asking for it makes the kernel refuse the link.
        sockops
            .attach(group, CgroupAttachMode::Single)
            .map_err(|error| refused(PROGRAM_SOCKOPS, &cgroup, io_error(error)))?;
        Ok(Self { object, maps: Mutex::new(maps), cgroup })
    }

    pub(super) fn maps(&self) -> MutexGuard<'_, Maps> {
        self.maps.lock()
    }

    /// Throws the switch on.
    ///
    /// # Errors
    /// When the settings cannot be written.
    pub(super) fn enable(&self) -> Result<(), Unavailable> {
        let mut maps = self.maps();
        let mut settings = maps.settings().map_err(unusable)?;
        settings.enabled = 1;
        maps.set_settings(settings).map_err(unusable)
    }

    /// The kernel's id of a program of the object.
    pub(super) fn program_id(&self, name: &str) -> Option<u32> {
        Some(self.object.program(name)?.info().ok()?.id())
    }

    /// Bytes queued for the application at the other end of our socket `cookie`, as of now. `None` without such a pair,
    /// and when its other end has gone.
    pub(super) fn queued(&self, cookie: u64) -> Option<u32> {
        let program: &RawTracePoint = self.object.program(PROGRAM_QUEUE)?.try_into().ok()?;
        let mut options = RawTracePointRunOptions::new();
        options.args[0] = cookie;
        let answer = program.test_run(options).ok()?.return_value;
        (answer <= i32::MAX.unsigned_abs()).then_some(answer)
    }
}

fn unusable(error: MapError) -> Unavailable {
    Unavailable::Load { source: EbpfError::MapError(error) }
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
