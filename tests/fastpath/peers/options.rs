//! Socket options that no crate of ours offers.
#![expect(unsafe_code, reason = "setsockopt(2) for options without a safe wrapper")]

use std::{
    io,
    net::TcpStream,
    os::fd::{AsRawFd, RawFd},
};

/// Reads are to wait until so many bytes are there.
pub(crate) fn set_low_water(stream: &TcpStream, bytes: usize) -> io::Result<()> {
    set(stream.as_raw_fd(), libc::SO_RCVLOWAT, libc::c_int::try_from(bytes).map_err(io::Error::other)?)
}

/// Sends may leave the bytes where they are, with MSG_ZEROCOPY.
pub(crate) fn set_zerocopy(stream: &TcpStream) -> io::Result<()> {
    set(stream.as_raw_fd(), libc::SO_ZEROCOPY, 1)
}

fn set(socket: RawFd, option: libc::c_int, value: libc::c_int) -> io::Result<()> {
    let size = libc::socklen_t::try_from(size_of_val(&value)).map_err(io::Error::other)?;
    // SAFETY: the kernel reads `size` bytes at the address of `value`, which outlives the call.
    let result = unsafe { libc::setsockopt(socket, libc::SOL_SOCKET, option, (&raw const value).cast(), size) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
