//! Where the running kernel keeps the fields the guard reads.
//!
//! Rust objects carry no relocations for fields of kernel structs, so the offsets are looked up here, in the kernel's own
//! type information (Documentation/bpf/btf.rst), and given to the object before it is loaded.

use super::Unavailable;
use gateway_ebpf::Offsets;
use std::{collections::HashMap, fs};

/// The kernel's own type information.
pub(super) const KERNEL_BTF: &str = "/sys/kernel/btf/vmlinux";

const MAGIC: u16 = 0xeb9f;
const STRUCT: u32 = 4;
const UNION: u32 = 5;
const MODIFIERS: [u32; 5] = [8, 9, 10, 11, 18]; // typedef, volatile, const, restrict, type tag

/// Every offset the guard needs, from the start of `struct tcp_sock`, which begins with `struct sock`.
///
/// # Errors
/// [`Unavailable::NoBtf`] without the file, [`Unavailable::Fields`] when a field is not where it is looked for.
pub(super) fn offsets() -> Result<Offsets, Unavailable> {
    let bytes = fs::read(KERNEL_BTF).map_err(|source| Unavailable::NoBtf { path: KERNEL_BTF, source })?;
    let btf = Btf::parse(&bytes).ok_or(Unavailable::Fields { field: "the header of its BTF" })?;
    let find = |structure: &str, path: &[&str], field: &'static str| {
        btf.offset(structure, path).ok_or(Unavailable::Fields { field })
    };
    let (kern_sock, bit) = btf.bit("sock", "sk_kern_sock").ok_or(Unavailable::Fields { field: "sock.sk_kern_sock" })?;
    Ok(Offsets {
        kern_sock,
        kern_sock_mask: 1 << bit,
        socket: find("sock", &["sk_socket"], "sock.sk_socket")?,
        file: find("socket", &["file"], "socket.file")?,
        file_flags: find("file", &["f_flags"], "file.f_flags")?,
        cookie: find("sock", &["__sk_common", "skc_cookie"], "sock.__sk_common.skc_cookie")?,
        snd_una: find("tcp_sock", &["snd_una"], "tcp_sock.snd_una")?,
        write_seq: find("tcp_sock", &["write_seq"], "tcp_sock.write_seq")?,
        rcv_nxt: find("tcp_sock", &["rcv_nxt"], "tcp_sock.rcv_nxt")?,
        copied_seq: find("tcp_sock", &["copied_seq"], "tcp_sock.copied_seq")?,
        rmem_alloc: find("sock", &["sk_backlog", "rmem_alloc"], "sock.sk_backlog.rmem_alloc")?,
    })
}

/// BTF as far as it is needed to find members of structs.
struct Btf<'b> {
    types: &'b [u8],
    strings: &'b [u8],
    /// Where each type begins in `types`; type 0 is void.
    starts: Vec<u32>,
    /// Structs by name.
    structs: HashMap<&'b [u8], u32>,
}

/// Where a member is.
struct Member {
    /// From the start of the struct.
    bits: u32,
    /// In bits; 0 for a member that is no bit field.
    width: u32,
    /// The id of its type.
    kind: u32,
}

impl<'b> Btf<'b> {
    fn parse(bytes: &'b [u8]) -> Option<Self> {
        if u16::from_ne_bytes(bytes.get(..2)?.try_into().ok()?) != MAGIC {
            return None;
        }
        let header = number(bytes, 4)? as usize;
        let section = |at| {
            let start = header.checked_add(number(bytes, at)? as usize)?;
            bytes.get(start..start.checked_add(number(bytes, at + 4)? as usize)?)
        };
        let (types, strings) = (section(8)?, section(16)?);
        let mut btf = Self { types, strings, starts: vec![0], structs: HashMap::new() };
        let mut at = 0;
        while at < types.len() {
            let start = u32::try_from(at).ok()?;
            let info = number(types, at + 4)?;
            let (kind, members) = ((info >> 24) & 0x1f, (info & 0xffff) as usize);
            if kind == STRUCT {
                let id = u32::try_from(btf.starts.len()).ok()?;
                btf.structs.insert(btf.string(number(types, at)?)?, id);
            }
            btf.starts.push(start);
            at += 12
                + match kind {
                    1 | 14 | 17 => 4,
                    3 => 12,
                    STRUCT | UNION | 15 | 19 => members * 12,
                    6 | 13 => members * 8,
                    2 | 7..=12 | 16 | 18 => 0,
                    _ => return None,
                };
        }
        Some(btf)
    }

    /// Bytes from the start of the struct to the member at the end of `path`.
    fn offset(&self, structure: &str, path: &[&str]) -> Option<u32> {
        let mut id = *self.structs.get(structure.as_bytes())?;
        let mut total = 0;
        for name in path {
            let member = self.member(id, name, 0)?;
            if member.width != 0 || member.bits % 8 != 0 {
                return None;
            }
            total += member.bits / 8;
            id = member.kind;
        }
        Some(total)
    }

    /// The byte from the start of the struct, and the bit in it, of a member that is one bit wide.
    fn bit(&self, structure: &str, name: &str) -> Option<(u32, u32)> {
        let member = self.member(*self.structs.get(structure.as_bytes())?, name, 0)?;
        let bit = if cfg!(target_endian = "little") { member.bits % 8 } else { 7 - member.bits % 8 };
        (member.width == 1).then_some((member.bits / 8, bit))
    }

    /// A member, also one within a member without a name.
    fn member(&self, id: u32, name: &str, depth: u8) -> Option<Member> {
        // Nothing nests that deep; a loop in broken data would.
        if depth > 8 {
            return None;
        }
        let at = *self.starts.get(self.unmodified(id)? as usize)? as usize;
        let info = number(self.types, at + 4)?;
        if !matches!((info >> 24) & 0x1f, STRUCT | UNION) {
            return None;
        }
        let has_bit_fields = info >> 31 != 0;
        for index in 0..(info & 0xffff) as usize {
            let at = at + 12 + index * 12;
            let (label, kind) = (self.string(number(self.types, at)?)?, number(self.types, at + 4)?);
            let position = number(self.types, at + 8)?;
            let (bits, width) = if has_bit_fields { (position & 0x00ff_ffff, position >> 24) } else { (position, 0) };
            if label == name.as_bytes() {
                return Some(Member { bits, width, kind });
            }
            if label.is_empty()
                && let Some(found) = self.member(kind, name, depth + 1)
            {
                return Some(Member { bits: bits + found.bits, ..found });
            }
        }
        None
    }

    /// The type behind typedefs and qualifiers.
    fn unmodified(&self, mut id: u32) -> Option<u32> {
        for _ in 0..8 {
            let at = *self.starts.get(id as usize)? as usize;
            if !MODIFIERS.contains(&((number(self.types, at + 4)? >> 24) & 0x1f)) {
                return Some(id);
            }
            id = number(self.types, at + 8)?;
        }
        None
    }

    fn string(&self, at: u32) -> Option<&'b [u8]> {
        self.strings.get(at as usize..)?.split(|byte| *byte == 0).next()
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

#[cfg(test)]
mod tests;
