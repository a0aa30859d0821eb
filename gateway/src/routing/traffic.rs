//! A cluster's policy, ready to be used: what its DestinationRule asks for and what the process remembers of it.

use super::{
    cluster::{ClusterName, Endpoint},
    world::HashMap,
};
use crate::{
    balance::{balancer::Balancer, memory::ClusterMemory},
    model::{
        origination::ClientTls,
        traffic_policy::{ConnectionPool, LoadBalancer, PolicyBlocks},
    },
};
use std::sync::{Arc, Weak};

/// There for clusters that differ from the default, and for endpoints of unequal weight.
#[derive(Debug)]
pub struct Traffic {
    pub balancer: Balancer,
    /// `None` where nothing is bounded, and connections may be shared with other clusters.
    pub connections: Option<ConnectionPool>,
    pub tls: ClientTls,
}

/// What is remembered of the clusters of a compiler, by name.
#[derive(Debug, Default)]
pub(super) struct Memories {
    by_name: HashMap<ClusterName, Weak<ClusterMemory>>,
    /// How many pools have been told apart so far.
    pools: u64,
}

impl Memories {
    pub(super) fn shed(&mut self) {
        self.by_name.retain(|_, memory| memory.strong_count() > 0);
    }

    fn of(&mut self, name: &ClusterName, blocks: &PolicyBlocks) -> Arc<ClusterMemory> {
        let (pool, outliers) = (blocks.connection_pool.as_ref(), blocks.outlier_detection.as_ref());
        let tls = blocks.tls.as_ref().and_then(ClientTls::origination);
        let next = self.pools + 1;
        let known = self.by_name.get(name).and_then(Weak::upgrade);
        let memory = match known {
            Some(known) => known.for_settings(next, pool, tls, outliers),
            None => Arc::new(ClusterMemory::new(next, pool.cloned(), tls.cloned(), outliers.cloned())),
        };
        self.pools = self.pools.max(memory.pool);
        self.by_name.insert(name.clone(), Arc::downgrade(&memory));
        memory
    }
}

impl Traffic {
    /// `None` when the cluster is as it is without a rule.
    pub(super) fn new(
        name: &ClusterName,
        mut blocks: PolicyBlocks,
        endpoints: &[(Arc<Endpoint>, u32)],
        memories: &mut Memories,
    ) -> Option<Self> {
        let is_uniform = endpoints.windows(2).all(|pair| pair[0].1 == pair[1].1);
        let default = PolicyBlocks::default();
        let is_default = |blocks: &PolicyBlocks| {
            blocks.load_balancer.as_ref().is_none_or(|balancer| *balancer == LoadBalancer::default())
                && blocks.connection_pool.as_ref().is_none_or(|pool| *pool == ConnectionPool::default())
                && blocks.outlier_detection == default.outlier_detection
        };
        let is_plain = blocks.tls.as_ref().is_none_or(|tls| *tls == ClientTls::Disable);
        if is_uniform && is_plain && is_default(&blocks) {
            return None;
        }
        if blocks.tls.as_ref().and_then(ClientTls::origination).is_some() {
            // What was made for one handshake is of no use to another: the cluster has a pool of its own.
            blocks.connection_pool.get_or_insert_default();
        }
        let memory = memories.of(name, &blocks);
        let balancer = Balancer::new(blocks.load_balancer.unwrap_or_default(), endpoints, memory);
        Some(Self { balancer, connections: blocks.connection_pool, tls: blocks.tls.unwrap_or_default() })
    }
}
