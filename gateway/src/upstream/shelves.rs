//! The HTTP/2 connections of a worker, by endpoint, and those that are being made.

use super::{
    connect::ConnectError,
    connection::RequestBody,
    http2::{Http2Connection, Stream},
    lease::{Lease, PoolKey},
    opening::Opening,
};
use foldhash::fast::RandomState;
use futures_util::{
    FutureExt as _,
    future::{LocalBoxFuture, Shared, WeakShared},
};
use hashbrown::HashMap;
use std::{fmt, rc::Rc, time::Duration};

/// A connection that is being made, for everybody who waits for it; given up when nobody does.
pub(crate) type Connecting = Shared<LocalBoxFuture<'static, Result<Rc<Http2Connection>, ConnectError>>>;

type Unfinished = WeakShared<LocalBoxFuture<'static, Result<Rc<Http2Connection>, ConnectError>>>;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Shelves {
    by_key: HashMap<ShelfKey, Shelf, RandomState>,
}

/// Whose connections may be shared.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ShelfKey {
    pub(crate) pool: PoolKey,
    pub(crate) opening: Opening,
}

#[derive(Default)]
struct Shelf {
    connections: Vec<Rc<Http2Connection>>,
    connecting: Option<Unfinished>,
}

impl fmt::Debug for Shelf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shelf").field("connections", &self.connections).finish_non_exhaustive()
    }
}

impl Shelves {
    /// A place on a connection for `key` that has room for one more request.
    pub(crate) fn stream<B: RequestBody>(&mut self, key: &ShelfKey, now: u64) -> Option<Stream<B>> {
        self.find(key, now, Http2Connection::has_room)
    }

    /// A place on a connection for `key`, where the endpoint may make it wait.
    pub(crate) fn crowded<B: RequestBody>(&mut self, key: &ShelfKey, now: u64) -> Option<Stream<B>> {
        self.find(key, now, |_| true)
    }

    fn find<B: RequestBody>(
        &mut self,
        key: &ShelfKey,
        now: u64,
        fits: impl Fn(&Http2Connection) -> bool,
    ) -> Option<Stream<B>> {
        let shelf = self.by_key.get_mut(key)?;
        shelf.connections.retain(|connection| !connection.is_over(now));
        shelf.connections.iter().filter(|connection| fits(connection)).find_map(Http2Connection::stream)
    }

    /// The connection for `key` that is being made, or the one that `make` makes.
    pub(crate) fn connecting(
        &mut self,
        key: &ShelfKey,
        make: impl FnOnce() -> LocalBoxFuture<'static, Result<Rc<Http2Connection>, ConnectError>>,
    ) -> Connecting {
        let shelf = self.by_key.entry_ref(key).or_default();
        let unfinished = shelf.connecting.as_ref().and_then(WeakShared::upgrade);
        if let Some(unfinished) = unfinished.filter(|unfinished| unfinished.peek().is_none()) {
            return unfinished;
        }
        let connecting = make().shared();
        shelf.connecting = connecting.downgrade();
        connecting
    }

    /// How many requests at once the endpoint of `key` allows on a connection, where there is one.
    pub(crate) fn allows(&self, key: &ShelfKey) -> Option<usize> {
        self.by_key.get(key)?.connections.iter().map(|connection| connection.allows()).min()
    }

    /// From now on `connection` is for requests with `key`.
    pub(crate) fn put(&mut self, key: ShelfKey, connection: Rc<Http2Connection>) {
        connection.rest();
        self.by_key.entry(key).or_default().connections.push(connection);
    }

    /// Lets go of what has closed, what has been idle or open too long at `now`, and what is for no key that is `wanted`.
    /// Requests in progress come to their end.
    pub(crate) fn sweep(&mut self, now: u64, default: Duration, wanted: impl Fn(&PoolKey) -> bool) {
        self.by_key.retain(|key, shelf| {
            let is_wanted = wanted(&key.pool);
            shelf.connections.retain(|connection| {
                let since = if connection.is_idle() { connection.idle_since.get().or(Some(now)) } else { None };
                connection.idle_since.set(since);
                let limit = connection.lease().and_then(Lease::idle_timeout).unwrap_or(default);
                // 0 keeps it.
                let limit = u64::try_from(limit.as_millis()).ok().filter(|limit| *limit > 0).unwrap_or(u64::MAX);
                let is_stale = since.is_some_and(|since| now.saturating_sub(since) >= limit);
                is_wanted && !is_stale && !connection.is_over(now)
            });
            let is_connecting = shelf.connecting.as_ref().and_then(WeakShared::upgrade).is_some();
            !shelf.connections.is_empty() || is_connecting
        });
    }

    /// How many connections are without requests.
    pub(crate) fn idle(&self) -> usize {
        self.by_key.values().flat_map(|shelf| &shelf.connections).filter(|connection| connection.is_idle()).count()
    }
}
