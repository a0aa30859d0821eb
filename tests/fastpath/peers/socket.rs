//! Sockets in a namespace.

use super::PATIENCE;
use crate::world::Namespace;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    io,
    net::{SocketAddr, TcpListener, TcpStream},
};

/// A listening socket; an IPv6 one takes IPv4 connections too when it is bound to every address.
pub(crate) fn listen(namespace: &Namespace, address: SocketAddr) -> TcpListener {
    let bound = namespace.enter(|| {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        if address.is_ipv6() {
            socket.set_only_v6(false)?;
        }
        socket.bind(&address.into())?;
        socket.listen(4096)?;
        io::Result::Ok(socket.into())
    });
    bound.unwrap_or_else(|error| panic!("listen on {address}: {error}"))
}

/// A connection that never blocks, from the first packet on.
pub(crate) fn connect(namespace: &Namespace, address: SocketAddr) -> io::Result<TcpStream> {
    namespace.enter(|| connect_from(None, address))
}

/// The same from a place of its own, in the namespace of this thread.
pub(crate) fn connect_from(from: Option<SocketAddr>, address: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    if let Some(from) = from {
        socket.set_reuse_address(true)?;
        socket.bind(&from.into())?;
    }
    match socket.connect(&address.into()) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => return Err(error),
        _ => {}
    }
    let stream = TcpStream::from(socket);
    until(&stream, PollFlags::OUT)?;
    if let Some(error) = stream.take_error()? {
        return Err(error);
    }
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// A connection whose calls block, and fail after a while.
pub(crate) fn connect_blocking(namespace: &Namespace, address: SocketAddr) -> io::Result<TcpStream> {
    let stream = namespace.enter(|| TcpStream::connect(address))?;
    prepare(&stream, true)?;
    Ok(stream)
}

/// Sets what every connection of a peer has.
pub(super) fn prepare(stream: &TcpStream, blocks: bool) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_nonblocking(!blocks)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))
}

/// # Errors
/// `TimedOut` when it does not come to that.
pub(super) fn until(stream: &TcpStream, what: PollFlags) -> io::Result<()> {
    let limit = Timespec { tv_sec: i64::try_from(PATIENCE.as_secs()).map_err(io::Error::other)?, tv_nsec: 0 };
    loop {
        match poll(&mut [PollFd::new(stream, what)], Some(&limit)) {
            Ok(0) => return Err(io::Error::new(io::ErrorKind::TimedOut, format!("no {what:?}"))),
            Err(rustix::io::Errno::INTR) => {}
            other => return Ok(other.map(drop)?),
        }
    }
}
