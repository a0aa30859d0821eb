//! Making a connection to an endpoint.

use super::{
    connection::{RequestBody, UpstreamConnection},
    http2::Http2Connection,
    lease::Lease,
    socket::Socket,
};
use crate::{
    balance::limits::ConnectionPermit,
    fastpath::Sockets,
    model::traffic_policy::{ConnectionPool, Http2Settings, Keepalive, Speech},
};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use std::{io, net::SocketAddr, rc::Rc, time::Duration};
use tokio::{
    net::{TcpSocket, TcpStream},
    time::timeout,
};

/// Why there is no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConnectError {
    /// Refused, reset, unreachable.
    Failed(io::ErrorKind),
    /// No answer within the connect timeout.
    TimedOut,
    /// Nothing was tried: the cluster has as many connections, waiting requests or requests as it may have.
    Overflow,
    /// Nothing was tried: the endpoint is to be spoken to in TLS, which this version does not speak.
    NoTls,
}

/// What a connection of a cluster with a `connectionPool` is made with.
#[derive(Debug)]
pub(crate) struct Bounds<'b> {
    pub(crate) pool: u64,
    pub(crate) settings: &'b ConnectionPool,
    pub(crate) permit: Option<ConnectionPermit>,
    /// The worker's coarse milliseconds.
    pub(crate) now: u64,
}

/// Connects to `endpoint` within `limit`, to speak HTTP/1.
pub(crate) async fn connect<B: RequestBody>(
    endpoint: SocketAddr,
    limit: Duration,
    fastpath: Option<&Sockets>,
    bounds: Option<Bounds<'_>>,
) -> Result<Box<UpstreamConnection<B>>, ConnectError> {
    let (socket, lease) = reach(endpoint, limit, fastpath, bounds).await?;
    // The handshake of HTTP/1 is no exchange of bytes; it cannot fail for the peer's sake.
    let (sender, connection) =
        http1::handshake(TokioIo::new(socket)).await.map_err(|_hyper| ConnectError::Failed(io::ErrorKind::Other))?;
    Ok(Box::new(UpstreamConnection::new(sender, connection, endpoint, lease)))
}

/// Connects to `endpoint` within `limit`, to speak HTTP/2, which both sides know beforehand. `allows` is how many requests at
/// once its other connections allow.
pub(crate) async fn connect_http2(
    endpoint: SocketAddr,
    limit: Duration,
    fastpath: Option<&Sockets>,
    bounds: Option<Bounds<'_>>,
    allows: Option<usize>,
) -> Result<Rc<Http2Connection>, ConnectError> {
    let settings = match bounds.as_ref().map(|bounds| bounds.settings.speech) {
        Some(Speech::Http2(settings)) => settings,
        Some(Speech::AsPortSays | Speech::AsClient) | None => Http2Settings::default(),
    };
    let (socket, lease) = reach(endpoint, limit, fastpath, bounds).await?;
    let begun = Http2Connection::begin(socket, endpoint, settings, allows, lease).await;
    begun.map_err(|error| ConnectError::Failed(error.get_io().map_or(io::ErrorKind::Other, io::Error::kind)))
}

/// A connection that stands, before anything is said on it.
async fn reach(
    endpoint: SocketAddr,
    limit: Duration,
    fastpath: Option<&Sockets>,
    bounds: Option<Bounds<'_>>,
) -> Result<(Socket, Option<Box<Lease>>), ConnectError> {
    let failed = |error: io::Error| ConnectError::Failed(error.kind());
    let stream = dial(endpoint, limit, fastpath).await?;
    let lease = match bounds {
        None => None,
        Some(Bounds { pool, settings, permit, now }) => {
            if let Some(keepalive) = &settings.keepalive {
                keep_alive(&stream, keepalive).map_err(failed)?;
            }
            Some(Box::new(Lease::new(pool, settings, permit, &stream, now).map_err(failed)?))
        }
    };
    Ok((Socket::new(stream, fastpath).map_err(failed)?, lease))
}

/// Connects to `endpoint` within `limit`, for bytes of which nothing is known.
pub(crate) async fn open_stream(
    endpoint: SocketAddr,
    limit: Duration,
    keepalive: Option<&Keepalive>,
    fastpath: Option<&Sockets>,
) -> Result<Socket, ConnectError> {
    let failed = |error: io::Error| ConnectError::Failed(error.kind());
    let stream = dial(endpoint, limit, fastpath).await?;
    if let Some(keepalive) = keepalive {
        keep_alive(&stream, keepalive).map_err(failed)?;
    }
    Socket::new(stream, fastpath).map_err(failed)
}

async fn dial(endpoint: SocketAddr, limit: Duration, fastpath: Option<&Sockets>) -> Result<TcpStream, ConnectError> {
    let failed = |error: io::Error| ConnectError::Failed(error.kind());
    let socket = open(endpoint, fastpath).map_err(failed)?;
    match timeout(limit, socket.connect(endpoint)).await {
        Ok(stream) => stream.map_err(failed),
        Err(_elapsed) => Err(ConnectError::TimedOut),
    }
}

/// `tcpKeepalive`: what is not given stays as the kernel has it.
fn keep_alive(stream: &TcpStream, settings: &Keepalive) -> io::Result<()> {
    let mut keepalive = socket2::TcpKeepalive::new();
    if let Some(time) = settings.time {
        keepalive = keepalive.with_time(time);
    }
    if let Some(interval) = settings.interval {
        keepalive = keepalive.with_interval(interval);
    }
    if let Some(probes) = settings.probes {
        keepalive = keepalive.with_retries(probes);
    }
    let socket = socket2::SockRef::from(stream);
    socket.set_keepalive(true)?;
    socket.set_tcp_keepalive(&keepalive)
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
