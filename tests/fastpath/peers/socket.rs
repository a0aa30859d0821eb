//! Sockets in a namespace.

use super::PATIENCE;
use crate::world::Namespace;
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

/// A connection whose blocking calls fail after a while.
pub(crate) fn connect(namespace: &Namespace, address: SocketAddr) -> io::Result<TcpStream> {
    let stream = namespace.enter(|| TcpStream::connect_timeout(&address, PATIENCE))?;
    prepare(&stream)?;
    Ok(stream)
}

/// Sets what every connection of a peer has.
pub(super) fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))
}
