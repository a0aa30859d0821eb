//! What the fast path tells `admin`, the log and the operator.

use super::{Unavailable, heartbeat, load::Loaded, maps::DIRECTIONS};
use aya::maps::MapError;
use gateway_ebpf::{Direction, Events, PROGRAM_MSG, PROGRAM_SOCKOPS, Settings, Stats};
use serde::Serialize;
use std::{collections::BTreeMap, fmt, path::PathBuf};

/// Where bytes can flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The programs are attached.
    Kernel,
    /// Everything goes through the daemon.
    #[default]
    Userspace,
}

/// The fast path at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Status {
    pub mode: Mode,
    /// Why nothing is redirected, or what could not be read.
    pub reason: Option<String>,
    /// The cgroup whose sockets the programs see.
    pub cgroup: Option<PathBuf>,
    /// Where programs and maps are pinned; without it they go with the process.
    pub pinned: Option<PathBuf>,
    /// The guard was found not to hold, and nothing is redirected until the daemon is started again.
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
        Self { mode: Mode::Userspace, reason: Some(unavailable.to_string()), ..Self::default() }
    }

    pub(super) fn kernel(loaded: &Loaded) -> Self {
        let mut status = Self {
            mode: Mode::Kernel,
            cgroup: Some(loaded.cgroup.clone()),
            pinned: loaded.pins.as_ref().map(|pins| pins.directory().to_owned()),
            maps: loaded.map_ids().into_iter().map(|(name, id)| MapStatus { name, id }).collect(),
            programs: [PROGRAM_SOCKOPS, PROGRAM_MSG]
                .into_iter()
                .filter_map(|name| {
                    let id = loaded.program_id(name)?;
                    Some(ProgramStatus { name: name.to_owned(), id, attached: true })
                })
                .collect(),
            ..Self::default()
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
        self.reason = off_because(&settings, heartbeat::monotonic_ns()).map(str::to_owned);
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

/// Why the programs redirect nothing at the moment `now_ns`, as they read the settings themselves.
pub(super) fn off_because(settings: &Settings, now_ns: u64) -> Option<&'static str> {
    match settings.tripped {
        0 => {}
        Settings::TRIPPED_BLIND => return Some("the guard could not see a socket that was sending"),
        Settings::TRIPPED_QUEUE => return Some("a queue grew past every bound the guard knows"),
        _ => return Some("gw_settings says that it tripped, and not over what"),
    }
    if settings.enabled == 0 {
        return Some("the switch in gw_settings is off");
    }
    let age = now_ns.saturating_sub(settings.heartbeat_ns);
    (age > settings.stale_after_ns).then_some("the heartbeat is stale")
}

fn refused(events: Events) -> BTreeMap<&'static str, u64> {
    BTreeMap::from([
        ("mptcp", events.refused_mptcp),
        ("blocking", events.refused_blocking),
        ("foreign", events.refused_foreign),
        ("full", events.refused_full),
        ("opt_out", events.refused_opt_out),
        ("other", events.refused_other),
        ("unproven", events.unproven),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_turns_it_off_is_said() {
        let on = Settings { heartbeat_ns: 10_000, stale_after_ns: 3_000, enabled: 1, tripped: 0 };
        assert_eq!(off_because(&on, 12_000), None);
        // The programs' clock is coarse: a heartbeat in the future is as good as one of now.
        assert_eq!(off_because(&on, 9_000), None);
        assert_eq!(off_because(&on, 13_001), Some("the heartbeat is stale"));
        let off = Settings { enabled: 0, ..on };
        assert_eq!(off_because(&off, 13_001), Some("the switch in gw_settings is off"));
        for code in [Settings::TRIPPED_BLIND, Settings::TRIPPED_QUEUE, 77] {
            let tripped = off_because(&Settings { tripped: code, ..off }, 12_000).expect("a reason");
            assert!(tripped != "the switch in gw_settings is off", "{code}: {tripped}");
        }
    }
}
