//! Connections at rest, by endpoint.

use super::{
    connection::{RequestBody, UpstreamConnection},
    lease::{Lease, PoolKey},
    opening::Opening,
};
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use std::time::Duration;

/// The unused connections of one worker. The most recently used of an endpoint is taken first, so that a quiet time
/// lets the others grow old.
#[derive(Debug)]
#[expect(
    clippy::vec_box,
    reason = "connections are large, and move between the pool and their users for every request"
)]
pub(crate) struct Pool<B: RequestBody> {
    idle: HashMap<PoolKey, Vec<Box<UpstreamConnection<B>>>, RandomState>,
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

    /// Takes a connection for `key` that was alive at the last look, and that began with `opening`.
    pub(crate) fn take(&mut self, key: PoolKey, opening: &Opening) -> Option<Box<UpstreamConnection<B>>> {
        let idle = self.idle.get_mut(&key)?;
        let fits = |lease: Option<&Lease>| lease.map_or_else(|| opening.is_plain(), |lease| lease.opening() == opening);
        while let Some(latest) = idle.iter().rposition(|connection| fits(connection.lease.as_deref())) {
            let mut connection = idle.remove(latest);
            if connection.lease.as_deref().is_some_and(|lease| !lease.resume()) {
                continue;
            }
            if connection.is_alive() {
                return Some(connection);
            }
        }
        None
    }

    /// Puts a connection aside for the next exchange; `now` is in coarse milliseconds.
    pub(crate) fn put(&mut self, mut connection: Box<UpstreamConnection<B>>, now: u64) {
        debug_assert!(connection.is_ready(), "a connection in use was put into the pool");
        // Whom to wake, the connection learns when it is used; until then it must wake nobody.
        connection.silence();
        let lease = connection.lease.as_deref();
        if lease.is_some_and(|lease| lease.is_over(connection.exchanges, now)) {
            return;
        }
        let key = PoolKey { pool: lease.map_or(0, Lease::pool), endpoint: connection.endpoint };
        connection.idle_since = now;
        let idle = self.idle.entry(key).or_default();
        if idle.len() < self.limits.idle_per_endpoint {
            // Whoever waits for it finds it in the pool: nobody else runs on this thread before it is there.
            if let Some(lease) = connection.lease.as_deref() {
                lease.rest();
            }
            idle.push(connection);
        }
    }

    /// Drops what has closed, what has been idle or open too long at `now`, and what is for no key that is `wanted`.
    pub(crate) fn sweep(&mut self, now: u64, wanted: impl Fn(&PoolKey) -> bool) {
        let oldest = |idle_timeout: Duration| match u64::try_from(idle_timeout.as_millis()) {
            // 0 keeps it.
            Ok(0) | Err(_) => 0,
            Ok(milliseconds) => now.saturating_sub(milliseconds),
        };
        let default = self.limits.idle_timeout;
        self.idle.retain(|key, idle| {
            if !wanted(key) {
                return false;
            }
            idle.retain_mut(|connection| {
                let lease = connection.lease.as_deref();
                let is_over = lease.is_some_and(|lease| lease.is_over(connection.exchanges, now));
                let oldest = oldest(lease.and_then(Lease::idle_timeout).unwrap_or(default));
                !is_over && connection.idle_since >= oldest && connection.is_alive()
            });
            !idle.is_empty()
        });
    }

    /// How many connections are at rest.
    pub(crate) fn len(&self) -> usize {
        self.idle.values().map(Vec::len).sum()
    }
}
