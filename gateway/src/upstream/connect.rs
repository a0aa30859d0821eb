//! Making a connection to an endpoint.

use super::{
    connection::{RequestBody, UpstreamConnection},
    socket::Socket,
};
use crate::fastpath::Sockets;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use std::{io, net::SocketAddr, time::Duration};
use tokio::{net::TcpSocket, time::timeout};

/// Why there is no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConnectError {
    /// Refused, reset, unreachable.
    Failed(io::ErrorKind),
    /// No answer within the connect timeout.
    TimedOut,
}

/// Connects to `endpoint` within `limit`.
pub(crate) async fn connect<B: RequestBody>(
    endpoint: SocketAddr,
    limit: Duration,
    fastpath: Option<&Sockets>,
) -> Result<Box<UpstreamConnection<B>>, ConnectError> {
    let failed = |error: io::Error| ConnectError::Failed(error.kind());
    let socket = open(endpoint, fastpath).map_err(failed)?;
    let stream = match timeout(limit, socket.connect(endpoint)).await {
        Ok(stream) => stream.map_err(failed)?,
        Err(_elapsed) => return Err(ConnectError::TimedOut),
    };
    let socket = Socket::new(stream, fastpath).map_err(failed)?;
    // The handshake of HTTP/1 is no exchange of bytes; it cannot fail for the peer's sake.
    let (sender, connection) =
        http1::handshake(TokioIo::new(socket)).await.map_err(|_hyper| ConnectError::Failed(io::ErrorKind::Other))?;
    Ok(Box::new(UpstreamConnection::new(sender, connection, endpoint)))
}

/// A socket that the fast path knows for ours before the first packet leaves.
fn open(endpoint: SocketAddr, fastpath: Option<&Sockets>) -> io::Result<TcpSocket> {
    let socket = if endpoint.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(fastpath) = fastpath
        && let Err(error) = fastpath.claim(&socket)
    {
        tracing::debug!(%endpoint, %error, "the connection stays with TCP");
    }
    Ok(socket)
}
