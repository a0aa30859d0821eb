//! Who loaded the object, for an operator with bpftool.

use crate::Stats;
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
    /// The daemon's process id, in the pid namespace of the daemon.
    pub pid: u32,
    /// Version of the daemon.
    pub version_major: u16,
    pub version_minor: u16,
    pub version_patch: u16,
    /// Explicit, so that the struct has no padding.
    pub reserved: [u16; 3],
}

const _: () = assert!(size_of::<Info>() == 24);

impl Info {
    /// The layout this crate was compiled with.
    pub const LAYOUT_HASH: u32 = fnv1a(&[
        LAYOUT_VERSION as usize,
        size_of::<Stats>(),
        offset_of!(Stats, active_established),
        offset_of!(Stats, passive_established),
        offset_of!(Stats, messages_passed),
        size_of::<Info>(),
        offset_of!(Info, layout_version),
        offset_of!(Info, layout_hash),
        offset_of!(Info, pid),
        offset_of!(Info, version_major),
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
