//! A listening socket whose connections the event loop does not know when they are accepted: see [`Socket::accepted`].
//!
//! [`Socket::accepted`]: crate::upstream::socket::Socket::accepted

use mio::net::{TcpListener, TcpStream};
use std::{
    io,
    net::SocketAddr,
    os::fd::{AsFd, BorrowedFd},
};
use tokio::io::{Interest, unix::AsyncFd};

#[derive(Debug)]
pub(super) struct Acceptor(AsyncFd<TcpListener>);

impl Acceptor {
    /// Of a `listener` that does not block.
    ///
    /// # Errors
    /// Those of epoll_ctl(2).
    #[expect(unsafe_code, reason = "tokio's own listener makes every connection known to the event loop")]
    pub(super) fn new(listener: std::net::TcpListener) -> io::Result<Self> {
        let listener = TcpListener::from_std(listener);
        // SAFETY: the listener owns its file descriptor, always says the same one, and closes it after it was taken off.
        let registered = unsafe { AsyncFd::register_with_interest(listener, Interest::READABLE) };
        Ok(Self(registered.map_err(|error| error.into_parts().1)?))
    }

    /// The next connection and its peer. What is given up while it waits has taken none.
    ///
    /// # Errors
    /// Those of accept(2).
    pub(super) async fn next(&self) -> io::Result<(TcpStream, SocketAddr)> {
        self.0.async_io(Interest::READABLE, TcpListener::accept).await
    }
}

impl AsFd for Acceptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.get_ref().as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net;

    #[tokio::test]
    async fn every_connection_is_accepted_once() {
        let listener = net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let acceptor = Acceptor::new(listener).unwrap();
        let callers: Vec<_> = (0..3).map(|_| net::TcpStream::connect(address).unwrap()).collect();
        for caller in &callers {
            assert_eq!(acceptor.next().await.unwrap().1, caller.local_addr().unwrap());
        }
        let late = tokio::task::spawn_blocking(move || net::TcpStream::connect(address).unwrap());
        let (_accepted, peer) = acceptor.next().await.unwrap();
        assert_eq!(peer, late.await.unwrap().local_addr().unwrap());
    }
}
