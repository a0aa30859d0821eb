//! What a connection of a cluster with a `connectionPool` is bound to.

use super::opening::Opening;
use crate::{balance::limits::ConnectionPermit, model::traffic_policy::ConnectionPool};
use std::{
    fmt, io,
    net::{Shutdown, SocketAddr},
    os::fd::{AsFd as _, OwnedFd},
    sync::Arc,
    time::Duration,
};
use tokio::net::TcpStream;

/// Whose connections may be exchanged for one another. Pool 0 is that of all clusters without a `connectionPool`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PoolKey {
    pub(crate) pool: u64,
    pub(crate) endpoint: SocketAddr,
}

/// The bounds of one connection.
pub(crate) struct Lease {
    pool: u64,
    opening: Opening,
    idle_timeout: Option<Duration>,
    most_exchanges: u32,
    /// In the worker's coarse milliseconds.
    expires: u64,
    limited: Option<Limited>,
}

/// Of a connection whose number is limited.
struct Limited {
    permit: ConnectionPermit,
    /// Ends the connection from any thread.
    close: Arc<dyn Fn() + Send + Sync>,
}

impl Lease {
    /// For a connection that stands since `now`.
    ///
    /// # Errors
    /// When a limited connection cannot be given a second file descriptor, by which others may close it.
    pub(crate) fn new(
        pool: u64,
        opening: Opening,
        settings: &ConnectionPool,
        permit: Option<ConnectionPermit>,
        stream: &TcpStream,
        now: u64,
    ) -> io::Result<Self> {
        let limited = match permit {
            None => None,
            Some(permit) => {
                let socket: OwnedFd = stream.as_fd().try_clone_to_owned()?;
                let close = move || {
                    // A connection that has ended by itself needs no end.
                    let _shut = socket2::SockRef::from(&socket).shutdown(Shutdown::Both).is_ok();
                };
                Some(Limited { permit, close: Arc::new(close) })
            }
        };
        let milliseconds = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Ok(Self {
            pool,
            opening,
            idle_timeout: settings.idle_timeout,
            most_exchanges: settings.max_requests_per_connection.unwrap_or(u32::MAX),
            expires: settings.max_connection_duration.map_or(u64::MAX, |most| now.saturating_add(milliseconds(most))),
            limited,
        })
    }

    /// What the connection began with: it is good for no other requests.
    pub(super) fn opening(&self) -> &Opening {
        &self.opening
    }

    pub(crate) fn pool(&self) -> u64 {
        self.pool
    }

    /// How long the connection may go unused; `None` for the gateway's own default.
    pub(crate) fn idle_timeout(&self) -> Option<Duration> {
        self.idle_timeout
    }

    /// Whether the connection has done its work, after `exchanges`, at `now`.
    pub(crate) fn is_over(&self, exchanges: u32, now: u64) -> bool {
        exchanges >= self.most_exchanges || now >= self.expires
    }

    /// The connection is put aside.
    pub(crate) fn rest(&self) {
        if let Some(limited) = &self.limited {
            limited.permit.rest(Arc::clone(&limited.close));
        }
    }

    /// The connection is to be used again. `false` when it has been closed for the sake of another.
    pub(crate) fn resume(&self) -> bool {
        self.limited.as_ref().is_none_or(|limited| limited.permit.resume())
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("pool", &self.pool).finish_non_exhaustive()
    }
}
