//! The maps, under the names `bpftool map show` prints.
#![expect(non_upper_case_globals, reason = "the static's name is the map's name, and operators read it")]

use aya_ebpf::{
    btf_maps::{Array, HashMap, LruHashMap, PerCpuArray},
    macros::btf_map,
};
use gateway_ebpf::{Direction, End, Events, Half, Hint, Info, Own, Pair, Place, Port, Proof, Settings, Stats};

mod sockets;
mod storage;

use sockets::Sockets;
use storage::Storage;

/// Pairs of a node: two sockets each, and candidates that are never proven. A full map means plain TCP.
const SOCKETS: usize = if cfg!(feature = "without-room") { 8 } else { 65_536 };
/// Handshakes under way at one time.
const HANDSHAKES: usize = 16_384;
/// Entries are made when needed: a node without traffic pays for none.
const ON_DEMAND: usize = aya_ebpf::bindings::BPF_F_NO_PREALLOC as usize;
/// Sockets accepted from a listener inherit what is stored with it.
const INHERITED: usize = aya_ebpf::bindings::BPF_F_CLONE as usize;

#[btf_map]
pub(crate) static gw_stats: PerCpuArray<Stats, { Direction::COUNT as usize }> = PerCpuArray::new();

#[btf_map]
pub(crate) static gw_events: PerCpuArray<Events, 1> = PerCpuArray::new();

#[btf_map]
pub(crate) static gw_info: Array<Info, 1> = Array::new();

#[btf_map]
pub(crate) static gw_settings: Array<Settings, 1> = Array::new();

#[btf_map]
pub(crate) static gw_socks: Sockets<SOCKETS> = Sockets::new();

#[btf_map]
pub(crate) static gw_pairs: HashMap<u64, Pair, SOCKETS, ON_DEMAND> = HashMap::new();

#[btf_map]
pub(crate) static gw_ends: Storage<End, ON_DEMAND> = Storage::new();

#[btf_map]
pub(crate) static gw_own: Storage<Own, { ON_DEMAND | INHERITED }> = Storage::new();

#[btf_map]
pub(crate) static gw_ports: LruHashMap<Port, u64, 1024> = LruHashMap::new();

#[btf_map]
pub(crate) static gw_hints: LruHashMap<Place, Hint, HANDSHAKES> = LruHashMap::new();

#[btf_map]
pub(crate) static gw_proofs: LruHashMap<Proof, Half, HANDSHAKES> = LruHashMap::new();

#[btf_map]
pub(crate) static gw_opt_out: HashMap<[u8; 16], u64, 16_384, ON_DEMAND> = HashMap::new();
