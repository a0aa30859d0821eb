//! What a cluster with a policy remembers from snapshot to snapshot.

use super::{host::HostState, limits::Limits, outliers::Outliers};
use crate::model::{
    origination::Origination,
    traffic_policy::{ConnectionPool, OutlierDetection, ProxyProtocol},
};
use parking_lot::Mutex;
use std::{
    net::SocketAddr,
    sync::{Arc, atomic::AtomicU32},
};

/// Shared by every snapshot's version of a cluster, as long as one of them, or a request, still needs it.
#[derive(Debug)]
pub struct ClusterMemory {
    /// Tells the connections of this cluster from those of others to the same address, and from those that were made for
    /// another `connectionPool` or began otherwise. Never 0.
    pub pool: u64,
    pub limits: Arc<Limits>,
    pub outliers: Option<Outliers>,
    /// Whose turn it is in a round robin.
    pub(super) turn: AtomicU32,
    connecting: Connecting,
    /// In the order of the addresses. No map: there are thousands of clusters, most of them with one endpoint or two.
    hosts: Mutex<Box<[(SocketAddr, Arc<HostState>)]>>,
}

/// What connections are made with: those that were made with something else are of no use.
#[derive(Debug, Default, PartialEq)]
pub struct Connecting {
    pub pool: Option<Box<ConnectionPool>>,
    pub tls: Option<Arc<Origination>>,
    pub proxy_protocol: Option<ProxyProtocol>,
}

impl ClusterMemory {
    pub fn new(pool: u64, connecting: Connecting, outliers: Option<OutlierDetection>) -> Self {
        Self {
            pool,
            limits: Arc::default(),
            outliers: outliers.map(Outliers::new),
            turn: AtomicU32::new(0),
            connecting,
            hosts: Mutex::default(),
        }
    }

    /// This memory, if it is good for these settings. Else one that has forgotten what they changed: Envoy makes a new cluster
    /// then. The counters of requests stay in any case, because the requests do.
    pub fn for_settings(
        self: &Arc<Self>,
        pool: u64,
        connecting: Connecting,
        outliers: Option<&OutlierDetection>,
    ) -> Arc<Self> {
        let same_pool = self.connecting == connecting;
        let same_outliers = self.outliers.as_ref().map(Outliers::settings) == outliers;
        if same_pool && same_outliers {
            return Arc::clone(self);
        }
        let pool = if same_pool { self.pool } else { pool };
        let fresh = Self::new(pool, connecting, outliers.cloned());
        Arc::new(Self { limits: Arc::clone(&self.limits), ..fresh })
    }

    /// From now on the cluster has these endpoints; returns their states in the same order. What is known of those it keeps
    /// stays.
    pub fn set_hosts(&self, addresses: impl Iterator<Item = SocketAddr>) -> Vec<Arc<HostState>> {
        let mut hosts = self.hosts.lock();
        let known = |address: &SocketAddr| {
            let place = hosts.binary_search_by(|(known, _)| known.cmp(address));
            place.map_or_else(|_| Arc::default(), |place| Arc::clone(&hosts[place].1))
        };
        let mut of: Vec<(SocketAddr, Arc<HostState>)> = addresses.map(|address| (address, known(&address))).collect();
        let states: Vec<Arc<HostState>> = of.iter().map(|(_, state)| Arc::clone(state)).collect();
        of.sort_unstable_by_key(|(address, _)| *address);
        if let Some(outliers) = &self.outliers {
            outliers.set_hosts(&of);
        }
        *hosts = of.into();
        states
    }
}
