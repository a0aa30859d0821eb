//! Making a connection to an endpoint.

use super::{
    connection::{RequestBody, UpstreamConnection},
    http2::Http2Connection,
    lease::Lease,
    opening::{Announcement, Opening},
    secure::{NoTls, Ready, Secure, Use},
    socket::Socket,
    stream::Stream,
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

/// What is read at once of a response, and the most that its head may have. Hyper's 400 KiB come from the kernel and go back
/// to it with every piece of a large answer, which costs more than what fewer reads save; Envoy takes heads of 60 KiB.
const READ_BYTES: usize = 64 * 1024;

/// Why there is no connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ConnectError {
    /// Refused, reset, unreachable.
    Failed(io::ErrorKind),
    /// No answer within the connect timeout.
    TimedOut,
    /// Nothing was tried: the cluster has as many connections, waiting requests or requests as it may have.
    Overflow,
    /// A connection stood, and no TLS came about on it.
    Handshake(NoTls),
    /// Nothing was tried: the endpoint is to be spoken to in a kind of TLS which this version does not speak.
    NoTls,
}

/// What a connection of a cluster with a `connectionPool` is made with.
#[derive(Debug)]
pub(crate) struct Bounds<'b> {
    pub(crate) pool: u64,
    pub(crate) opening: &'b Opening,
    pub(crate) settings: &'b ConnectionPool,
    pub(crate) permit: Option<ConnectionPermit>,
    /// The worker's coarse milliseconds.
    pub(crate) now: u64,
    /// For an endpoint that is spoken to in TLS.
    pub(crate) secure: Option<Secure<'b>>,
}

/// Connects to `endpoint` within `limit`, which includes a handshake of TLS, as in Envoy, to speak HTTP/1.
pub(crate) async fn connect<B: RequestBody>(
    endpoint: SocketAddr,
    limit: Duration,
    fastpath: Option<&Sockets>,
    bounds: Option<Bounds<'_>>,
) -> Result<Box<UpstreamConnection<B>>, ConnectError> {
    let (stream, lease) = reach(endpoint, limit, fastpath, bounds, Use::Http1).await?;
    // The handshake of HTTP/1 is no exchange of bytes; it cannot fail for the peer's sake.
    let handshake = http1::Builder::new().max_buf_size(READ_BYTES).handshake(TokioIo::new(stream)).await;
    let (sender, connection) = handshake.map_err(|_hyper| ConnectError::Failed(io::ErrorKind::Other))?;
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
    let (stream, lease) = reach(endpoint, limit, fastpath, bounds, Use::Http2).await?;
    let begun = Http2Connection::begin(stream, endpoint, settings, allows, lease).await;
    begun.map_err(|error| ConnectError::Failed(error.get_io().map_or(io::ErrorKind::Other, io::Error::kind)))
}

/// A connection that stands, before anything is said on it.
async fn reach(
    endpoint: SocketAddr,
    limit: Duration,
    fastpath: Option<&Sockets>,
    bounds: Option<Bounds<'_>>,
    used: Use,
) -> Result<(Stream, Option<Box<Lease>>), ConnectError> {
    let reached = timeout(limit, reach_at_leisure(endpoint, fastpath, bounds, used)).await;
    reached.unwrap_or(Err(ConnectError::TimedOut))
}

async fn reach_at_leisure(
    endpoint: SocketAddr,
    fastpath: Option<&Sockets>,
    bounds: Option<Bounds<'_>>,
    used: Use,
) -> Result<(Stream, Option<Box<Lease>>), ConnectError> {
    let failed = |error: io::Error| ConnectError::Failed(error.kind());
    let ready = ready(bounds.as_ref().and_then(|bounds| bounds.secure)).await?;
    let announcement = bounds.as_ref().and_then(|bounds| bounds.opening.announcement.as_deref());
    let fastpath = short_circuit(fastpath, ready.as_ref(), announcement);
    let stream = dial(endpoint, fastpath, announcement).await?;
    let lease = match bounds {
        None => None,
        Some(Bounds { pool, opening, settings, permit, now, .. }) => {
            if let Some(keepalive) = &settings.keepalive {
                keep_alive(&stream, keepalive).map_err(failed)?;
            }
            Some(Box::new(Lease::new(pool, opening.clone(), settings, permit, &stream, now).map_err(failed)?))
        }
    };
    Ok((begin(stream, fastpath, ready, used).await?, lease))
}

/// What TLS needs, before there is a connection to begin it on.
async fn ready(secure: Option<Secure<'_>>) -> Result<Option<Ready<'_>>, ConnectError> {
    match secure {
        Some(secure) => secure.ready().await.map(Some).map_err(ConnectError::Handshake),
        None => Ok(None),
    }
}

/// What is encrypted in userspace gains nothing from the short-circuit, and stays with TCP. So does a connection on which
/// something is said before anybody counts its bytes.
fn short_circuit<'f>(
    fastpath: Option<&'f Sockets>,
    ready: Option<&Ready<'_>>,
    announcement: Option<&Announcement>,
) -> Option<&'f Sockets> {
    fastpath.filter(|_| ready.is_none() && announcement.is_none())
}

/// Begins TLS on a connection that stands, where that is asked for.
async fn begin(
    stream: TcpStream,
    fastpath: Option<&Sockets>,
    ready: Option<Ready<'_>>,
    used: Use,
) -> Result<Stream, ConnectError> {
    stream.set_nodelay(true).map_err(|error| ConnectError::Failed(error.kind()))?;
    let socket = Socket::new(stream, fastpath);
    match ready {
        None => Ok(Stream::Plain(socket)),
        Some(ready) => ready.begin(socket, used).await.map_err(ConnectError::Handshake),
    }
}

/// Connects to `endpoint` within `limit`, for bytes of which nothing is known. `offers_http2` says that its cluster is one of
/// HTTP/2, which TLS then tells the endpoint.
pub(crate) async fn open_stream(
    endpoint: SocketAddr,
    limit: Duration,
    keepalive: Option<&Keepalive>,
    fastpath: Option<&Sockets>,
    announcement: Option<&Announcement>,
    secure: Option<Secure<'_>>,
    offers_http2: bool,
) -> Result<Stream, ConnectError> {
    let opening = async {
        let ready = ready(secure).await?;
        let fastpath = short_circuit(fastpath, ready.as_ref(), announcement);
        let stream = dial(endpoint, fastpath, announcement).await?;
        if let Some(keepalive) = keepalive {
            keep_alive(&stream, keepalive).map_err(|error| ConnectError::Failed(error.kind()))?;
        }
        begin(stream, fastpath, ready, Use::Unread { offers_http2 }).await
    };
    timeout(limit, opening).await.unwrap_or(Err(ConnectError::TimedOut))
}

/// A connection that stands, and on which the `announcement`, if there is one, has been made.
async fn dial(
    endpoint: SocketAddr,
    fastpath: Option<&Sockets>,
    announcement: Option<&Announcement>,
) -> Result<TcpStream, ConnectError> {
    let failed = |error: io::Error| ConnectError::Failed(error.kind());
    let mut stream = open(endpoint, fastpath).map_err(failed)?.connect(endpoint).await.map_err(failed)?;
    if let Some(announcement) = announcement {
        announcement.say(&mut stream).await.map_err(failed)?;
    }
    Ok(stream)
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
