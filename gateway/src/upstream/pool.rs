//! Connections at rest, by endpoint.

use super::connection::{RequestBody, UpstreamConnection};
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use std::{
    net::SocketAddr,
    task::{Context, Waker},
    time::Duration,
};

/// The unused connections of one worker. The most recently used of an endpoint is taken first, so that a quiet time
/// lets the others grow old.
#[derive(Debug)]
#[expect(
    clippy::vec_box,
    reason = "connections are large, and move between the pool and their users for every request"
)]
pub(crate) struct Pool<B: RequestBody> {
    idle: HashMap<SocketAddr, Vec<Box<UpstreamConnection<B>>>, RandomState>,
    limits: PoolLimits,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct PoolLimits {
    /// How long a connection is kept without use.
    pub(crate) idle_timeout: Duration,
    /// How many are kept to one endpoint.
    pub(crate) idle_per_endpoint: usize,
}

impl<B: RequestBody> Pool<B> {
    pub(crate) fn new(limits: PoolLimits) -> Self {
        Self { idle: HashMap::default(), limits }
    }

    /// Takes a connection to `endpoint` that was alive at the last look.
    pub(crate) fn take(&mut self, endpoint: SocketAddr) -> Option<Box<UpstreamConnection<B>>> {
        let idle = self.idle.get_mut(&endpoint)?;
        // Whom to wake, the connection learns when it is used; until then it must wake nobody.
        let mut nobody = Context::from_waker(Waker::noop());
        while let Some(mut connection) = idle.pop() {
            if connection.poll_drive(&mut nobody).is_pending() && connection.is_ready() {
                return Some(connection);
            }
        }
        None
    }

    /// Puts a connection aside for the next exchange; `now` is in coarse milliseconds.
    pub(crate) fn put(&mut self, mut connection: Box<UpstreamConnection<B>>, now: u64) {
        debug_assert!(connection.is_ready(), "a connection in use was put into the pool");
        connection.idle_since = now;
        let idle = self.idle.entry(connection.endpoint).or_default();
        if idle.len() < self.limits.idle_per_endpoint {
            idle.push(connection);
        }
    }

    /// Drops what has closed, what has been idle too long at `now`, and what leads to an endpoint that is not `wanted`.
    pub(crate) fn sweep(&mut self, now: u64, wanted: impl Fn(&SocketAddr) -> bool) {
        let oldest = now.saturating_sub(u64::try_from(self.limits.idle_timeout.as_millis()).unwrap_or(u64::MAX));
        let mut nobody = Context::from_waker(Waker::noop());
        self.idle.retain(|endpoint, idle| {
            if !wanted(endpoint) {
                return false;
            }
            idle.retain_mut(|connection| {
                connection.idle_since >= oldest && connection.poll_drive(&mut nobody).is_pending()
            });
            !idle.is_empty()
        });
    }

    /// How many connections are at rest.
    pub(crate) fn len(&self) -> usize {
        self.idle.values().map(Vec::len).sum()
    }
}
