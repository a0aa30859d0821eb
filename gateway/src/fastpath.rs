//! The kernel half: loads the BPF object, attaches it, reads what it counts.
//!
//! The only module that names aya. It knows how programs get into the kernel and out again, not why a connection is
//! worth short-circuiting (`pairing` will decide that). Whatever fails here, traffic flows through userspace: `start`
//! answers with a [`Fastpath`] that says why it is idle, and errs only where the operator required the kernel.

mod btf;
mod cgroup;
mod heartbeat;
mod load;
mod maps;
mod metrics;
mod object;
mod pins;
mod privileges;
mod self_test;
mod sockets;
mod status;
mod syscall;
mod unavailable;

pub use metrics::FastpathMetrics;
pub use self_test::Mismatch;
pub use sockets::{Announced, SocketCookie, Sockets};
pub use status::{Amount, Established, MapStatus, Mode, Moved, PairCount, ProgramStatus, Status};
pub use unavailable::Unavailable;

use heartbeat::Heartbeat;
use load::{Keep, Loaded};
use std::{
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
};

/// What the operator asked for (`--fastpath`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FastpathMode {
    /// The kernel where it can be had, userspace otherwise.
    #[default]
    Auto,
    /// Never touch the kernel.
    Off,
    /// Without the kernel, do not start.
    Require,
}

/// The programs in the kernel, or the reason why there are none. Dropping it detaches and unloads everything.
#[derive(Debug)]
pub struct Fastpath {
    state: Result<Active, Unavailable>,
}

/// What runs while the fast path does.
#[derive(Debug)]
struct Active {
    loaded: Arc<Loaded>,
    sockets: Sockets,
    _heartbeat: Heartbeat,
}

/// Loads the embedded object and attaches it to `cgroup`; without one, to the cgroup of the node's pods, or to the root
/// of the cgroup2 hierarchy where there are no pods.
///
/// # Errors
/// [`Unavailable`] with [`FastpathMode::Require`] only; with the other modes [`Fastpath::status`] carries the reason.
pub fn start(mode: FastpathMode, cgroup: Option<&Path>) -> Result<Fastpath, Unavailable> {
    let state = match mode {
        FastpathMode::Off => Err(Unavailable::Off),
        FastpathMode::Auto => activate(cgroup),
        FastpathMode::Require => Ok(activate(cgroup)?),
    };
    Ok(Fastpath { state })
}

fn activate(cgroup: Option<&Path>) -> Result<Active, Unavailable> {
    // Ordered so that the first failure is the one whose remedy helps.
    let object = object::chosen()?;
    privileges::check()?;
    let cgroup = match cgroup {
        Some(path) => PathBuf::from(path),
        None => cgroup::default_cgroup()?,
    };
    pins::remove_stale();
    // What is pinned may have connections, with which no test may interfere. Otherwise what is tested is what stays: the
    // verifier takes its time with every copy.
    let is_first = pins::existing(Some(&cgroup)).is_ok_and(|pinned| pinned.is_empty());
    if object.is_tested && !is_first {
        self_test::run_apart(&object.bytes, &cgroup)?;
    }
    let loaded = Arc::new(Loaded::new(&object.bytes, cgroup, Keep::Pinned)?);
    if object.is_tested && is_first {
        self_test::run(&loaded)?;
    }
    let heartbeat = Heartbeat::start(Arc::clone(&loaded)).map_err(|source| Unavailable::Heartbeat { source })?;
    loaded.enable()?;
    Ok(Active { sockets: Sockets::new(Arc::clone(&loaded)), loaded, _heartbeat: heartbeat })
}

impl Fastpath {
    /// True while the programs are attached.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.state.is_ok()
    }

    /// Gives up the capabilities that only loading needs, for the calling thread and those it starts from now on.
    pub fn give_up_privileges(&self) {
        if self.is_active() {
            match privileges::give_up() {
                Ok(true) => tracing::debug!("gave up the capabilities that loading needed"),
                Ok(false) => tracing::debug!("kept the capabilities: before Linux 5.19 every use of a map needs them"),
                Err(error) => tracing::warn!(%error, "cannot give up the capabilities that loading needed"),
            }
        }
    }

    /// Takes everything out of the kernel, unless another daemon has taken over; the same happens when the last user of this
    /// value drops it, which at the end of a process may be never.
    pub fn shut_down(&self) {
        if let Ok(active) = &self.state {
            active.loaded.uninstall();
        }
    }

    /// What the data plane needs to take part; `None` while no program is attached.
    #[must_use]
    pub fn sockets(&self) -> Option<Sockets> {
        self.state.as_ref().ok().map(|active| active.sockets.clone())
    }

    /// Mode, reason, programs and counters as of now; reads the kernel's maps, which costs some microseconds.
    #[must_use]
    pub fn status(&self) -> Status {
        match &self.state {
            Ok(active) => Status::kernel(&active.loaded),
            Err(unavailable) => Status::userspace(unavailable),
        }
    }
}

/// Removes what gateways have pinned for `cgroup`, or for all cgroups; returns the directories. Programs that sockets still
/// hold are told to leave everything to TCP, and go with those sockets.
///
/// # Errors
/// When something cannot be removed; without root, mostly.
pub fn remove(cgroup: Option<&Path>) -> Result<Vec<PathBuf>, Unavailable> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| Unavailable::Pins { path, source }
    };
    let directories = pins::existing(cgroup).map_err(failed(cgroup.unwrap_or_else(|| Path::new("/sys/fs/bpf"))))?;
    for directory in &directories {
        load::switch_off(directory);
        pins::remove_directory(directory).map_err(failed(directory))?;
    }
    Ok(directories)
}

/// A word that is no [`FastpathMode`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no fast path mode: say auto, off or require")]
pub struct InvalidFastpathMode(String);

impl FromStr for FastpathMode {
    type Err = InvalidFastpathMode;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match word {
            "auto" => Ok(Self::Auto),
            "off" => Ok(Self::Off),
            "require" => Ok(Self::Require),
            other => Err(InvalidFastpathMode(other.to_owned())),
        }
    }
}
