//! Who loaded the object, for an operator with bpftool.

use crate::{End, Events, Half, Hint, Own, Pair, Place, Port, Proof, Settings, Stats};
use bytemuck::{Pod, Zeroable};
use core::mem::offset_of;

/// Raised by hand when the meaning of a map changes while its layout does not.
pub const LAYOUT_VERSION: u32 = 1;

/// Identifies the daemon that loaded the object and the layout of its maps.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Info {
    /// [`LAYOUT_VERSION`] of the daemon.
    pub layout_version: u32,
    /// Size and field offsets of every shared type, folded into one number. Maps of another layout are never reused.
    pub layout_hash: u32,
    /// Drawn by the daemon as it starts: process ids are 1 in every container.
    pub instance: u64,
    /// The daemon's process id, in the pid namespace of the daemon.
    pub pid: u32,
    /// Version of the daemon.
    pub version_major: u16,
    pub version_minor: u16,
    pub version_patch: u16,
    /// Explicit, so that the struct has no padding.
    pub reserved: [u16; 3],
}

const _: () = assert!(size_of::<Info>() == 32);

impl Info {
    /// The layout this crate was compiled with.
    pub const LAYOUT_HASH: u32 = fnv1a(&[
        LAYOUT_VERSION as usize,
        size_of::<Stats>(),
        size_of::<Events>(),
        size_of::<Info>(),
        offset_of!(Info, layout_hash),
        size_of::<Settings>(),
        offset_of!(Settings, enabled),
        size_of::<Place>(),
        size_of::<Port>(),
        size_of::<Own>(),
        size_of::<Hint>(),
        size_of::<Proof>(),
        offset_of!(Proof, caller_sequence),
        size_of::<Half>(),
        offset_of!(Half, pair),
        size_of::<End>(),
        offset_of!(End, direction),
        size_of::<Pair>(),
        offset_of!(Pair, direction),
        offset_of!(Pair, first_sequence),
        offset_of!(Pair, local),
    ]);
}

/// FNV-1a over small numbers; a checksum of the layout, not a defence.
#[expect(clippy::cast_possible_truncation, reason = "sizes and offsets of structs of a few bytes")]
const fn fnv1a(values: &[usize]) -> u32 {
    let mut hash: u32 = 0x811c_9dc5;
    let mut index = 0;
    while index < values.len() {
        hash = (hash ^ values[index] as u32).wrapping_mul(0x0100_0193);
        index += 1;
    }
    hash
}
