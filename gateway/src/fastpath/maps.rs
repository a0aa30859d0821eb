//! The maps as typed values: the one bridge between our plain types and aya's.

use super::{Established, Unavailable};
use aya::{
    Ebpf, Pod,
    maps::{Array, MapData, MapError, PerCpuArray},
};
use gateway_ebpf::{Info, MAP_INFO, MAP_STATS, ONLY, Stats};

/// A type of `gateway_ebpf` as aya wants it.
#[repr(transparent)]
#[derive(Clone, Copy)]
struct Wire<T>(T);

// SAFETY: `bytemuck::Pod` proves what aya's marker only promises: every bit pattern is a value and there is no padding;
// `Wire` is transparent.
#[expect(unsafe_code, reason = "aya marks the types it copies from and to the kernel with an unsafe trait")]
unsafe impl<T: bytemuck::Pod> Pod for Wire<T> {}

/// The counters.
pub(super) struct StatsMap(PerCpuArray<MapData, Wire<Stats>>);

impl StatsMap {
    /// Takes the counters out of the object, so that they can be read while the rest is only kept.
    ///
    /// # Errors
    /// [`Unavailable::Mismatch`] when the object has no such map or its values have another size.
    pub(super) fn take(object: &mut Ebpf) -> Result<Self, Unavailable> {
        let map = object.take_map(MAP_STATS).ok_or_else(|| missing(MAP_STATS))?;
        PerCpuArray::try_from(map).map(Self).map_err(|error| mismatch(MAP_STATS, &error))
    }

    /// The sum over the CPUs.
    ///
    /// # Errors
    /// What the kernel answered to the lookup.
    pub(super) fn read(&self) -> Result<Stats, MapError> {
        let per_cpu = self.0.get(&ONLY, 0)?;
        Ok(per_cpu.iter().fold(Stats::default(), |total, cpu| total.plus(cpu.0)))
    }
}

impl std::fmt::Debug for StatsMap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("StatsMap").field(&self.read().ok()).finish()
    }
}

impl From<Stats> for Established {
    fn from(stats: Stats) -> Self {
        Self { active: stats.active_established, passive: stats.passive_established }
    }
}

/// Says in `gw_info` who loaded the object.
///
/// # Errors
/// [`Unavailable::Mismatch`] when the object has no such map or its value has another size.
pub(super) fn write_info(object: &mut Ebpf, info: Info) -> Result<(), Unavailable> {
    let map = object.map_mut(MAP_INFO).ok_or_else(|| missing(MAP_INFO))?;
    let mut array: Array<_, Wire<Info>> = Array::try_from(map).map_err(|error| mismatch(MAP_INFO, &error))?;
    array.set(ONLY, Wire(info), 0).map_err(|error| mismatch(MAP_INFO, &error))
}

fn missing(map: &str) -> Unavailable {
    Unavailable::Mismatch { what: format!("it has no map {map}") }
}

fn mismatch(map: &str, error: &MapError) -> Unavailable {
    Unavailable::Mismatch { what: format!("{map}: {error}") }
}
