//! Circuit breakers: how many requests, retries, waiting requests and connections one cluster may have, over all workers of
//! the process.
//!
//! Each counter is raised only while it is below its limit, so that no limit is ever exceeded. What a permit stands for ends
//! when the permit is dropped. The limits themselves are parameters: they may change while permits are out.

mod connections;

pub use connections::{ConnectionPermit, Turn, Waiting};

use super::retry_budget::Arrivals;
use connections::Connections;
use std::sync::{
    Arc,
    atomic::{AtomicU32, AtomicU64, Ordering},
};

/// The counters of one cluster. They outlive snapshots and changes of the policy.
#[derive(Debug, Default)]
pub struct Limits {
    requests: Counter,
    pending: Counter,
    retries: Counter,
    connections: Connections,
    pub arrivals: Arrivals,
}

/// What is counted besides connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limited {
    /// A request in flight (`http2MaxRequests`).
    Request,
    /// A request that waits for a connection (`http1MaxPendingRequests`).
    Pending,
    /// A retry in flight (`maxRetries`).
    Retry,
}

/// Leave for one more of something; it ends with the value.
#[derive(Debug)]
pub struct Permit {
    limits: Arc<Limits>,
    of: Limited,
}

/// How many of each there are, and how often there was no room for one more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LimitCounts {
    pub requests: u32,
    pub pending: u32,
    pub retries: u32,
    pub connections: u32,
    pub request_overflow: u64,
    pub pending_overflow: u64,
    pub retry_overflow: u64,
}

#[derive(Debug, Default)]
struct Counter {
    now: AtomicU32,
    overflow: AtomicU64,
}

impl Limits {
    /// Leave for one more, when there are fewer than `most`; `None` for no limit still counts.
    pub fn permit(self: &Arc<Self>, of: Limited, most: Option<u32>) -> Option<Permit> {
        self.counter(of).raise(most.unwrap_or(u32::MAX)).then(|| Permit { limits: Arc::clone(self), of })
    }

    pub fn counts(&self) -> LimitCounts {
        let now = |counter: &Counter| counter.now.load(Ordering::Relaxed);
        let overflow = |counter: &Counter| counter.overflow.load(Ordering::Relaxed);
        LimitCounts {
            requests: now(&self.requests),
            pending: now(&self.pending),
            retries: now(&self.retries),
            connections: self.connections.open(),
            request_overflow: overflow(&self.requests),
            pending_overflow: overflow(&self.pending),
            retry_overflow: overflow(&self.retries),
        }
    }

    fn counter(&self, of: Limited) -> &Counter {
        match of {
            Limited::Request => &self.requests,
            Limited::Pending => &self.pending,
            Limited::Retry => &self.retries,
        }
    }
}

impl Counter {
    fn raise(&self, most: u32) -> bool {
        let raised = self.now.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |now| (now < most).then(|| now + 1));
        if raised.is_err() {
            self.overflow.fetch_add(1, Ordering::Relaxed);
        }
        raised.is_ok()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let before = self.limits.counter(self.of).now.fetch_sub(1, Ordering::Relaxed);
        debug_assert!(before > 0, "a permit ended that had not begun");
    }
}

#[cfg(test)]
mod tests;
