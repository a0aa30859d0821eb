//! The commands of bpf(2) for which aya has no function: an attachment to a map of sockets whose values are cookies, and
//! the atomic replacement of the program behind a link.
#![expect(unsafe_code, reason = "a system call with a struct of its own for every command")]

use std::{
    ffi::CString,
    io,
    os::{
        fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::Path,
};

// include/uapi/linux/bpf.h
const BPF_OBJ_GET: libc::c_int = 7;
const BPF_PROG_ATTACH: libc::c_int = 8;
const BPF_OBJ_GET_INFO_BY_FD: libc::c_int = 15;
const BPF_LINK_UPDATE: libc::c_int = 29;
const BPF_SK_MSG_VERDICT: u32 = 7;

/// `union bpf_attr` for the commands here: 64 bits to begin with where the command takes a pointer.
#[repr(C, align(8))]
struct Attributes([u32; 4]);

/// What is pinned at `path`.
///
/// # Errors
/// The kernel's; `ENOENT` when nothing is.
pub(super) fn open_pin(path: &Path) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let [first, second] = halves(path.as_ptr().expose_provenance());
    // pathname, bpf_fd, file_flags
    let fd = bpf(BPF_OBJ_GET, &Attributes([first, second, 0, 0]))?;
    // SAFETY: the kernel has just made this file descriptor, for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The id of the cgroup behind `link`; 0 when that cgroup has gone.
///
/// # Errors
/// The kernel's.
pub(super) fn cgroup_of(link: BorrowedFd<'_>) -> io::Result<u64> {
    // `struct bpf_link_info`: type, id, prog_id, and from byte 16 on what depends on the type.
    let mut info = [0u64; 8];
    let length = u32::try_from(size_of_val(&info)).unwrap_or_default();
    let [first, second] = halves(info.as_mut_ptr().expose_provenance());
    // bpf_fd, info_len, info
    bpf(BPF_OBJ_GET_INFO_BY_FD, &Attributes([number(link), length, first, second]))?;
    Ok(info[2])
}

/// Has `program` run for every socket that is inserted into `map` from now on.
///
/// # Errors
/// The kernel's.
pub(super) fn attach_to_sockets(program: BorrowedFd<'_>, map: BorrowedFd<'_>) -> io::Result<()> {
    // target_fd, attach_bpf_fd, attach_type, attach_flags
    bpf(BPF_PROG_ATTACH, &Attributes([number(map), number(program), BPF_SK_MSG_VERDICT, 0])).map(drop)
}

/// Puts `program` in the place of the one behind `link`; there is no moment without either.
///
/// # Errors
/// The kernel's.
pub(super) fn replace_program(link: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    // link_fd, new_prog_fd, flags, old_prog_fd
    bpf(BPF_LINK_UPDATE, &Attributes([number(link), number(program), 0, 0])).map(drop)
}

/// An address as two words in memory order.
fn halves(address: usize) -> [u32; 2] {
    let bytes = (address as u64).to_ne_bytes();
    let word = |at: usize| u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    [word(0), word(4)]
}

fn number(fd: BorrowedFd<'_>) -> u32 {
    // File descriptors are never negative.
    fd.as_raw_fd().unsigned_abs()
}

fn bpf(command: libc::c_int, attributes: &Attributes) -> io::Result<i32> {
    // SAFETY: the kernel reads as many bytes as it is told there are, and keeps nothing. A path among them is alive.
    let answer =
        unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(attributes), size_of::<Attributes>()) };
    if answer < 0 { Err(io::Error::last_os_error()) } else { i32::try_from(answer).map_err(io::Error::other) }
}
