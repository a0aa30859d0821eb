//! The maps, under the names `bpftool map show` prints.
#![expect(non_upper_case_globals, reason = "the static's name is the map's name, and operators read it")]

use aya_ebpf::{
    btf_maps::{Array, PerCpuArray},
    macros::btf_map,
};
use gateway_ebpf::{Info, Stats};

#[btf_map]
pub(crate) static gw_stats: PerCpuArray<Stats, 1> = PerCpuArray::new();

#[btf_map]
pub(crate) static gw_info: Array<Info, 1> = Array::new();
