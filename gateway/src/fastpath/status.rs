//! What the fast path tells `admin`, the log and the operator.

use super::{Unavailable, load::Loaded, maps::DIRECTIONS};
use aya::maps::MapError;
use gateway_ebpf::{Direction, Events, PROGRAM_MSG, PROGRAM_SOCKOPS, Stats};
use serde::Serialize;
use std::{collections::BTreeMap, fmt, path::PathBuf};

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
    /// Where programs and maps are pinned; without it they go with the process.
    pub pinned: Option<PathBuf>,
    /// A mismatch was found, and nothing is redirected until the daemon is started again.
    pub tripped: bool,
    pub programs: Vec<ProgramStatus>,
    pub maps: Vec<MapStatus>,
    /// Counted since the maps were made.
    pub established: Option<Established>,
    /// Connections there are now whose two ends are proven.
    pub pairs: Option<PairCount>,
    /// Connections that were not taken in, by reason.
    pub refused: BTreeMap<&'static str, u64>,
    /// By direction.
    pub moved: BTreeMap<&'static str, Moved>,
}

/// A program in the kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProgramStatus {
    /// As `bpftool prog show` prints it.
    pub name: String,
    /// The kernel's id of the program.
    pub id: u32,
    pub attached: bool,
}

/// A map in the kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MapStatus {
    /// As `bpftool map show` prints it.
    pub name: String,
    /// The kernel's id of the map.
    pub id: u32,
}

/// Established TCP sockets. A connection with both ends in the cgroup counts once on each side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Established {
    /// Connections opened.
    pub active: u64,
    /// Connections accepted.
    pub passive: u64,
}

/// Proven pairs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PairCount {
    /// Callers and the gateway.
    pub callers: u64,
    /// The gateway and endpoints.
    pub endpoints: u64,
    /// Since the maps were made.
    pub total: u64,
}

/// What was sent in one direction on connections that are, or may become, pairs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Moved {
    /// By the kernel, past TCP.
    pub redirected: Amount,
    /// Through TCP.
    pub passed: Amount,
    /// Messages passed, by reason.
    pub passed_because: BTreeMap<&'static str, u64>,
}

/// Messages and the bytes in them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Amount {
    pub messages: u64,
    pub bytes: u64,
}

impl Status {
    pub(super) fn userspace(unavailable: &Unavailable) -> Self {
        Self {
            mode: Mode::Userspace,
            reason: Some(unavailable.to_string()),
            cgroup: None,
            pinned: None,
            tripped: false,
            programs: Vec::new(),
            maps: Vec::new(),
            established: None,
            pairs: None,
            refused: BTreeMap::new(),
            moved: BTreeMap::new(),
        }
    }

    pub(super) fn kernel(loaded: &Loaded) -> Self {
        let mut status = Self {
            mode: Mode::Kernel,
            reason: None,
            cgroup: Some(loaded.cgroup.clone()),
            pinned: loaded.pins.as_ref().map(|pins| pins.directory().to_owned()),
            tripped: false,
            maps: loaded.map_ids().into_iter().map(|(name, id)| MapStatus { name, id }).collect(),
            programs: [PROGRAM_SOCKOPS, PROGRAM_MSG]
                .into_iter()
                .filter_map(|name| {
                    let id = loaded.program_id(name)?;
                    Some(ProgramStatus { name: name.to_owned(), id, attached: true })
                })
                .collect(),
            established: None,
            pairs: None,
            refused: BTreeMap::new(),
            moved: BTreeMap::new(),
        };
        if let Err(error) = status.count(loaded) {
            status.reason = Some(format!("the counters cannot be read: {error}"));
        }
        status
    }

    fn count(&mut self, loaded: &Loaded) -> Result<(), MapError> {
        let maps = loaded.maps();
        let settings = maps.settings()?;
        self.tripped = settings.tripped != 0;
        let events = maps.events()?;
        self.established = Some(Established { active: events.active_established, passive: events.passive_established });
        self.refused = refused(events);
        let mut pairs = PairCount { total: events.paired, ..PairCount::default() };
        for (_, pair) in maps.pairs() {
            match pair.direction {
                Direction::GATEWAY_TO_CALLER => pairs.callers += 1,
                Direction::GATEWAY_TO_ENDPOINT => pairs.endpoints += 1,
                _ => {}
            }
        }
        self.pairs = Some(pairs);
        for (direction, name) in DIRECTIONS {
            self.moved.insert(name, Moved::from(maps.stats(direction)?));
        }
        Ok(())
    }
}

fn refused(events: Events) -> BTreeMap<&'static str, u64> {
    BTreeMap::from([
        ("mptcp", events.refused_mptcp),
        ("blocking", events.refused_blocking),
        ("foreign", events.refused_foreign),
        ("full", events.refused_full),
        ("opt_out", events.refused_opt_out),
        ("other", events.refused_other),
    ])
}

impl From<Stats> for Moved {
    fn from(stats: Stats) -> Self {
        Self {
            redirected: Amount { messages: stats.redirected_messages, bytes: stats.redirected_bytes },
            passed: Amount { messages: stats.passed_messages, bytes: stats.passed_bytes },
            passed_because: BTreeMap::from([
                ("no_peer", stats.passed_no_peer),
                ("unread", stats.passed_unread),
                ("sticky", stats.passed_sticky),
                ("blocking", stats.passed_blocking),
                ("over_budget", stats.passed_over_budget),
                ("paused", stats.passed_paused),
                ("off", stats.passed_off),
                ("stale", stats.passed_stale),
                ("closing", stats.passed_closing),
            ]),
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
                if let Some(pinned) = &self.pinned {
                    write!(f, ", pinned in {}", pinned.display())?;
                }
                if let Some(reason) = reason {
                    write!(f, ", but {reason}")?;
                }
                Ok(())
            }
        }
    }
}
