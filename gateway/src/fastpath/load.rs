//! From bytes to programs that run, and the meaning of what the kernel answers on the way.

use super::{
    Unavailable, btf,
    cgroup::is_cgroup2,
    maps::{self, Maps, Wire},
    pins::Pins,
    syscall,
};
use aya::{
    Ebpf, EbpfError, EbpfLoader,
    maps::MapError,
    programs::{
        CgroupAttachMode, Program, ProgramError, RawTracePoint, RawTracePointRunOptions, SkMsg, SockOps, TestRun as _,
        links::FdLink,
    },
};
use gateway_ebpf::{Info, LAYOUT_VERSION, MAP_SETTINGS, PROGRAM_MSG, PROGRAM_QUEUE, PROGRAM_SOCKOPS};
use parking_lot::{Mutex, MutexGuard};
use std::{
    fs::{self, File},
    io,
    os::fd::AsFd as _,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicBool, Ordering},
};

/// The loaded object. Programs and maps live as long as somebody holds them: this process, a pin, or a socket that is in
/// `gw_socks` already.
#[derive(Debug)]
pub(super) struct Loaded {
    object: Ebpf,
    maps: Mutex<Maps>,
    pub(super) cgroup: PathBuf,
    /// Where it is pinned; `None` when everything goes with the process.
    pub(super) pins: Option<Pins>,
    /// Which daemon this is.
    pub(super) instance: u64,
    uninstalled: AtomicBool,
}

/// Whether the next daemon is to find what this one leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    /// Pinned, where there is a BPF file system.
    Pinned,
    /// Gone with the process.
    Private,
}

impl Loaded {
    /// Loads `object`, attaches `gw_msg` to the map of sockets and `gw_sockops` to `cgroup`. What another daemon of the same
    /// layout has pinned is taken over: its maps go on, its programs are replaced without a moment between.
    ///
    /// # Errors
    /// The step that failed, classified.
    pub(super) fn new(object: &[u8], cgroup: PathBuf, keep: Keep) -> Result<Self, Unavailable> {
        let group = File::open(&cgroup).map_err(|source| Unavailable::Cgroup { path: cgroup.clone(), source })?;
        if !is_cgroup2(&cgroup) {
            return Err(Unavailable::NotCgroup2 { path: cgroup });
        }
        let pins = match keep {
            Keep::Pinned => Pins::open(&cgroup)?,
            Keep::Private => None,
        };
        let was_in_use = pins.as_ref().is_some_and(|pins| pins.link().exists());
        let loaded = Self::load(object, &group, &cgroup, pins.clone());
        match (loaded, pins) {
            // What is pinned there is not what its name says. Whoever uses it keeps it; we begin anew.
            (Err(error), Some(pins)) if was_in_use && error.is_about_the_object() => {
                tracing::warn!("{error}; trying again without what is pinned in {}", pins.directory().display());
                remove(&pins);
                let pins = Pins::open(&cgroup)?;
                Self::load(object, &group, &cgroup, pins.clone()).inspect_err(|_| pins.iter().for_each(remove))
            }
            // Half an installation would be taken for a whole one by the next daemon.
            (Err(error), Some(pins)) if !was_in_use => {
                remove(&pins);
                Err(error)
            }
            (loaded, _) => loaded,
        }
    }

    fn load(object: &[u8], group: &File, cgroup: &Path, pins: Option<Pins>) -> Result<Self, Unavailable> {
        let offsets = Wire(btf::offsets()?);
        let mut loader = EbpfLoader::new();
        // The object asks nothing of the kernel's types that is not in `offsets`; reading all of them takes milliseconds.
        loader.btf(None).override_global("gw_offsets", &offsets, true);
        for (name, path) in pins.iter().flat_map(Pins::maps) {
            loader.map_pin_path(name, path);
        }
        let mut object = loader.load(object).map_err(refused_object)?;
        let maps = Maps::take(&mut object)?;
        // Nothing is ours to take away before it is attached.
        let (instance, uninstalled) = (fastrand::u64(1..), AtomicBool::new(true));
        let mut loaded =
            Self { object, maps: Mutex::new(maps), cgroup: cgroup.to_owned(), pins, instance, uninstalled };
        loaded.attach(group)?;
        *loaded.uninstalled.get_mut() = false;
        Ok(loaded)
    }

    fn attach(&mut self, group: &File) -> Result<(), Unavailable> {
        let Self { object, maps, cgroup, pins, instance, .. } = self;
        let refused = |program, source| Unavailable::Attach { program, cgroup: cgroup.clone(), source };
        let maps = maps.get_mut();
        let queue: &mut RawTracePoint = program(object, PROGRAM_QUEUE)?;
        queue.load().map_err(|error| refused_program(PROGRAM_QUEUE, error))?;

        let msg: &mut SkMsg = program(object, PROGRAM_MSG)?;
        msg.load().map_err(|error| refused_program(PROGRAM_MSG, error))?;
        let fd = msg.fd().map_err(|error| refused(PROGRAM_MSG, io_error(error)))?;
        syscall::attach_to_sockets(fd.as_fd(), maps.sockets()).map_err(|source| refused(PROGRAM_MSG, source))?;

        let sockops: &mut SockOps = program(object, PROGRAM_SOCKOPS)?;
        sockops.load().map_err(|error| refused_program(PROGRAM_SOCKOPS, error))?;
        maps.set_info(this_daemon(*instance)).map_err(unusable)?;
        link(sockops, group, pins.as_ref()).map_err(|source| refused(PROGRAM_SOCKOPS, source))?;
        for directory in pins.iter().flat_map(Pins::remove_others) {
            tracing::info!("took over from a daemon of another version: removed {}", directory.display());
        }
        Ok(())
    }

    /// The latest daemon of a cgroup takes everything away. What it leaves when it is killed the next one takes over.
    pub(super) fn uninstall(&self) {
        if self.pins.is_none() || self.uninstalled.swap(true, Ordering::Relaxed) || !self.is_latest() {
            return;
        }
        let mut maps = self.maps();
        let off = maps.settings().and_then(|mut settings| {
            settings.enabled = 0;
            maps.set_settings(settings)
        });
        drop(maps);
        if let Err(error) = off {
            tracing::warn!(%error, "the fast path's switch cannot be thrown off");
        }
        if let Some(pins) = &self.pins {
            remove(pins);
        }
    }

    /// Whether everything has been taken away again, or was not this daemon's any more.
    pub(super) fn is_uninstalled(&self) -> bool {
        self.uninstalled.load(Ordering::Relaxed)
    }

    /// Whether no other daemon has taken over since.
    pub(super) fn is_latest(&self) -> bool {
        self.maps().info().is_ok_and(|info| info.instance == self.instance)
    }

    pub(super) fn maps(&self) -> MutexGuard<'_, Maps> {
        self.maps.lock()
    }

    /// Throws the switch on, and forgives what an earlier daemon has tripped over: the self-test has just passed.
    ///
    /// # Errors
    /// When the settings cannot be written.
    pub(super) fn enable(&self) -> Result<(), Unavailable> {
        let mut maps = self.maps();
        let mut settings = maps.settings().map_err(unusable)?;
        settings.enabled = 1;
        settings.tripped = 0;
        maps.set_settings(settings).map_err(unusable)
    }

    /// The kernel's id of a program of the object.
    pub(super) fn program_id(&self, name: &str) -> Option<u32> {
        Some(self.object.program(name)?.info().ok()?.id())
    }

    /// Name and id of every map, as bpftool shows them.
    pub(super) fn map_ids(&self) -> Vec<(String, u32)> {
        self.maps().ids()
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

impl Drop for Loaded {
    fn drop(&mut self) {
        self.uninstall();
    }
}

fn remove(pins: &Pins) {
    if let Err(error) = pins.remove() {
        let directory = pins.directory().display();
        tracing::warn!("cannot remove {directory} ({error}): gateway fastpath remove does, run as root");
    }
}

/// Throws the switch of the maps pinned in `directory` off, if they are of this layout; others go stale by themselves.
pub(super) fn switch_off(directory: &Path) {
    if let Err(error) = maps::switch_off(&directory.join(MAP_SETTINGS)) {
        tracing::debug!(%error, "the switch in {} cannot be thrown", directory.display());
    }
}

/// Attaches the program, or puts it in the place of another daemon's.
fn link(sockops: &mut SockOps, group: &File, pins: Option<&Pins>) -> io::Result<()> {
    if let Some(pins) = pins
        && let Ok(pinned) = syscall::open_pin(&pins.link())
    {
        let program = sockops.fd().map_err(io_error)?;
        match syscall::replace_program(pinned.as_fd(), program.as_fd()) {
            Ok(()) => return Ok(()),
            // What it was attached to has gone.
            Err(_) => fs::remove_file(pins.link())?,
        }
    }
    // `Single` because bpf links are multi-attach by themselves; asking for it makes the kernel refuse the link.
    let id = sockops.attach(group, CgroupAttachMode::Single).map_err(io_error)?;
    if let Some(pins) = pins {
        let link = sockops.take_link(id).map_err(io_error)?;
        let link: FdLink = link.try_into().map_err(io::Error::other)?;
        link.pin(pins.link()).map_err(io::Error::other)?;
    }
    Ok(())
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

fn this_daemon(instance: u64) -> Info {
    // Cargo guarantees numbers, and a version it did not set is no reason not to start.
    let part = |text: &str| text.parse().unwrap_or(0);
    Info {
        layout_version: LAYOUT_VERSION,
        layout_hash: Info::LAYOUT_HASH,
        instance,
        pid: process::id(),
        version_major: part(env!("CARGO_PKG_VERSION_MAJOR")),
        version_minor: part(env!("CARGO_PKG_VERSION_MINOR")),
        version_patch: part(env!("CARGO_PKG_VERSION_PATCH")),
        reserved: [0; 3],
    }
}

/// Whether the program was refused the one helper that lockdown takes away.
fn is_lockdown(log: &str) -> bool {
    let verdict = last_line(log);
    ["cannot use helper bpf_probe_read_kernel#", "unknown func bpf_probe_read_kernel#"]
        .iter()
        .any(|words| verdict.contains(words))
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
        // Whoever may read the kernel's memory is refused the helper for it only by lockdown (`bpf_base_func_proto`).
        ProgramError::LoadError { verifier_log, .. } if is_lockdown(&verifier_log.to_string()) => {
            Unavailable::LockedDown
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
