//! The maps as typed values: the one bridge between our plain types and aya's.

use super::Unavailable;
use aya::{
    Ebpf, Pod,
    maps::{Array, HashMap, Map, MapData, MapError, PerCpuArray, PerCpuValues, SkStorage},
    util::nr_cpus,
};
use gateway_ebpf::{
    Direction, Events, Info, MAP_EVENTS, MAP_INFO, MAP_OPT_OUT, MAP_OWN, MAP_PAIRS, MAP_PORTS, MAP_SETTINGS, MAP_SOCKS,
    MAP_STATS, ONLY, OPT_OUT_WISHED, Own, Pair, Port, Settings, Stats,
};
use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd},
    path::Path,
};

/// A type of `gateway_ebpf` as aya wants it.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub(super) struct Wire<T>(pub(super) T);

// SAFETY: `bytemuck::Pod` proves what aya's marker only promises: every bit pattern is a value and there is no padding;
// `Wire` is transparent.
#[expect(unsafe_code, reason = "aya marks the types it copies from and to the kernel with an unsafe trait")]
unsafe impl<T: bytemuck::Pod> Pod for Wire<T> {}

/// The maps that the daemon reads and writes. The others are the programs' alone.
pub(super) struct Maps {
    stats: PerCpuArray<MapData, Wire<Stats>>,
    events: PerCpuArray<MapData, Wire<Events>>,
    info: Array<MapData, Wire<Info>>,
    settings: Array<MapData, Wire<Settings>>,
    pairs: HashMap<MapData, u64, Wire<Pair>>,
    ports: HashMap<MapData, Wire<Port>, u64>,
    opt_out: HashMap<MapData, [u8; 16], u64>,
    own: SkStorage<MapData, Wire<Own>>,
    socks: MapData,
    /// Name and id of each.
    names: Vec<(String, u32)>,
}

impl Maps {
    /// Takes the maps out of the object.
    ///
    /// # Errors
    /// [`Unavailable::Mismatch`] when one is missing or has other types.
    pub(super) fn take(object: &mut Ebpf) -> Result<Self, Unavailable> {
        let names = object.maps().filter_map(|(name, map)| Some((name.to_owned(), id(map)?)));
        // Constants of the object are no map of ours.
        let mut names: Vec<_> = names.filter(|(name, _)| !name.starts_with('.')).collect();
        names.sort_unstable();
        Ok(Self {
            names,
            stats: typed(object, MAP_STATS)?,
            events: typed(object, MAP_EVENTS)?,
            info: typed(object, MAP_INFO)?,
            settings: typed(object, MAP_SETTINGS)?,
            pairs: typed(object, MAP_PAIRS)?,
            ports: typed(object, MAP_PORTS)?,
            opt_out: typed(object, MAP_OPT_OUT)?,
            own: typed(object, MAP_OWN)?,
            socks: match object.take_map(MAP_SOCKS) {
                Some(Map::SockHash(data)) => data,
                Some(_) => return Err(Unavailable::Mismatch { what: format!("{MAP_SOCKS} is no socket hash") }),
                None => return Err(missing(MAP_SOCKS)),
            },
        })
    }

    /// Name and id of every map of the object, those that only the programs use included.
    pub(super) fn ids(&self) -> Vec<(String, u32)> {
        self.names.clone()
    }

    pub(super) fn sockets(&self) -> BorrowedFd<'_> {
        self.socks.fd().as_fd()
    }

    /// The counters of one direction, summed over the CPUs.
    pub(super) fn stats(&self, direction: u32) -> Result<Stats, MapError> {
        let per_cpu = self.stats.get(&direction, 0)?;
        Ok(per_cpu.iter().fold(Stats::default(), |total, cpu| total.plus(cpu.0)))
    }

    /// What became of connections, summed over the CPUs.
    pub(super) fn events(&self) -> Result<Events, MapError> {
        let per_cpu = self.events.get(&ONLY, 0)?;
        Ok(per_cpu.iter().fold(Events::default(), |total, cpu| total.plus(cpu.0)))
    }

    /// Begins to count anew.
    pub(super) fn forget_counts(&mut self) -> Result<(), MapError> {
        for direction in 0..Direction::COUNT {
            self.stats.set(direction, everywhere(Stats::default())?, 0)?;
        }
        self.events.set(ONLY, everywhere(Events::default())?, 0)
    }

    pub(super) fn info(&self) -> Result<Info, MapError> {
        self.info.get(&ONLY, 0).map(|info| info.0)
    }

    pub(super) fn set_info(&mut self, info: Info) -> Result<(), MapError> {
        self.info.set(ONLY, Wire(info), 0)
    }

    pub(super) fn settings(&self) -> Result<Settings, MapError> {
        self.settings.get(&ONLY, 0).map(|settings| settings.0)
    }

    pub(super) fn set_settings(&mut self, settings: Settings) -> Result<(), MapError> {
        self.settings.set(ONLY, Wire(settings), 0)
    }

    /// Every entry of `gw_pairs`: two a pair. Entries that come or go meanwhile may be missed or seen twice.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (u64, Pair)> {
        self.pairs.iter().flatten().map(|(cookie, pair)| (cookie, pair.0))
    }

    /// The entry of one socket.
    pub(super) fn pair(&self, cookie: u64) -> Result<Pair, MapError> {
        self.pairs.get(&cookie, 0).map(|pair| pair.0)
    }

    /// Forgets a socket that has been closed, should the programs not have done it yet.
    pub(super) fn remove_pair(&mut self, cookie: u64) {
        let _gone = self.pairs.remove(&cookie);
    }

    /// Changes an entry, if it is still there. What the programs count at this very moment may get lost.
    pub(super) fn set_pair(&mut self, cookie: u64, pair: Pair) -> Result<(), MapError> {
        const BPF_EXIST: u64 = 2;
        self.pairs.insert(cookie, Wire(pair), BPF_EXIST)
    }

    pub(super) fn add_port(&mut self, port: Port, instance: u64) -> Result<(), MapError> {
        self.ports.insert(Wire(port), instance, 0)
    }

    /// Removes the port unless another daemon has taken it over.
    pub(super) fn remove_port(&mut self, port: Port, instance: u64) {
        if self.ports.get(&Wire(port), 0).is_ok_and(|owner| owner == instance) {
            let _gone = self.ports.remove(&Wire(port));
        }
    }

    pub(super) fn mark_own(&mut self, socket: &impl AsRawFd, own: Own) -> Result<(), MapError> {
        self.own.insert(socket, Wire(own), 0)
    }

    pub(super) fn opt_out(&mut self, address: [u8; 16]) -> Result<(), MapError> {
        self.opt_out.insert(address, OPT_OUT_WISHED, 0)
    }

    pub(super) fn opt_in(&mut self, address: [u8; 16]) -> Result<(), MapError> {
        match self.opt_out.remove(&address) {
            Err(MapError::KeyNotFound) => Ok(()),
            done => done,
        }
    }
}

impl std::fmt::Debug for Maps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Maps").field("info", &self.info().ok()).finish_non_exhaustive()
    }
}

/// The same value for every CPU.
fn everywhere<T: bytemuck::Pod>(value: T) -> Result<PerCpuValues<Wire<T>>, MapError> {
    let cpus = nr_cpus().map_err(|(path, error)| io::Error::new(error.kind(), format!("{path}: {error}")))?;
    Ok(PerCpuValues::try_from(vec![Wire(value); cpus])?)
}

/// The kernel's id of a map of ours.
fn id(map: &Map) -> Option<u32> {
    let (Map::Array(data)
    | Map::PerCpuArray(data)
    | Map::HashMap(data)
    | Map::LruHashMap(data)
    | Map::SkStorage(data)
    | Map::SockHash(data)) = map
    else {
        return None;
    };
    Some(data.info().ok()?.id())
}

/// Throws the switch in the settings pinned at `path`.
pub(super) fn switch_off(path: &Path) -> Result<(), MapError> {
    let mut map: Array<MapData, Wire<Settings>> = Array::try_from(Map::Array(MapData::from_pin(path)?))?;
    let settings = map.get(&ONLY, 0)?.0;
    map.set(ONLY, Wire(Settings { enabled: 0, ..settings }), 0)
}

fn typed<M: TryFrom<Map, Error = MapError>>(object: &mut Ebpf, name: &'static str) -> Result<M, Unavailable> {
    let map = object.take_map(name).ok_or_else(|| missing(name))?;
    M::try_from(map).map_err(|error| Unavailable::Mismatch { what: format!("{name}: {error}") })
}

fn missing(map: &str) -> Unavailable {
    Unavailable::Mismatch { what: format!("it has no map {map}") }
}

/// Every direction's number and name, as JSON and metrics spell it.
pub(super) const DIRECTIONS: [(u32, &str); Direction::COUNT as usize] = [
    (Direction::CALLER_TO_GATEWAY, "caller_to_gateway"),
    (Direction::GATEWAY_TO_CALLER, "gateway_to_caller"),
    (Direction::GATEWAY_TO_ENDPOINT, "gateway_to_endpoint"),
    (Direction::ENDPOINT_TO_GATEWAY, "endpoint_to_gateway"),
];
