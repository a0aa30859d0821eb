//! A cluster's policy, ready to be used: what its DestinationRule asks for and what the process remembers of it.

use super::{
    cluster::{ClusterName, Endpoint},
    world::HashMap,
};
use crate::{
    balance::{
        balancer::Balancer,
        levels::Layout,
        memory::{ClusterMemory, Connecting},
    },
    model::{
        origination::ClientTls,
        traffic_policy::{Algorithm, ConnectionPool, LoadBalancer, PolicyBlocks, ProxyProtocol, RetryBudget},
    },
};
use std::sync::{Arc, Weak};

/// There for clusters that differ from the default, and for endpoints of unequal weight.
#[derive(Debug)]
pub struct Traffic {
    pub balancer: Balancer,
    /// `None` where nothing is bounded, and connections may be shared with other clusters.
    pub connections: Option<ConnectionPool>,
    /// Requests are counted where there is one: `connections` is there then.
    pub retry_budget: Option<RetryBudget>,
    pub tls: ClientTls,
    /// In which version endpoints are told whose connection it is.
    pub proxy_protocol: Option<ProxyProtocol>,
}

/// The endpoints of a cluster, with their weights, in the order of their levels.
#[derive(Debug, Default)]
pub(super) struct Members {
    pub(super) endpoints: Vec<(Arc<Endpoint>, u32)>,
    pub(super) layout: Layout,
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
        let connections = Connecting {
            pool: blocks.connection_pool.clone().map(Box::new),
            tls: blocks.tls.as_ref().and_then(ClientTls::origination).cloned(),
            proxy_protocol: blocks.proxy_protocol,
        };
        let outliers = blocks.outlier_detection.as_ref();
        let next = self.pools + 1;
        let known = self.by_name.get(name).and_then(Weak::upgrade);
        let memory = match known {
            Some(known) => known.for_settings(next, connections, outliers),
            None => Arc::new(ClusterMemory::new(next, connections, outliers.cloned())),
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
        members: &Members,
        memories: &mut Memories,
    ) -> Option<Self> {
        let Members { endpoints, layout } = members;
        let is_uniform = layout.levels.is_empty() && endpoints.windows(2).all(|pair| pair[0].1 == pair[1].1);
        let default = PolicyBlocks::default();
        let is_default = |blocks: &PolicyBlocks| {
            // Where endpoints are has shown in their layout.
            let is_plain =
                |balancer: &LoadBalancer| balancer.algorithm == Algorithm::LeastRequest && balancer.warmup.is_none();
            blocks.load_balancer.as_ref().is_none_or(is_plain)
                && blocks.retry_budget.is_none()
                && blocks.proxy_protocol.is_none()
                && blocks.connection_pool.as_ref().is_none_or(|pool| *pool == ConnectionPool::default())
                && blocks.outlier_detection == default.outlier_detection
        };
        let is_plain = blocks.tls.as_ref().is_none_or(|tls| *tls == ClientTls::Disable);
        if is_uniform && is_plain && is_default(&blocks) {
            return None;
        }
        if blocks.tls.as_ref().and_then(ClientTls::origination).is_some() || blocks.proxy_protocol.is_some() {
            // What began with one handshake or header is of no use to another: the cluster has a pool of its own.
            blocks.connection_pool.get_or_insert_default();
        }
        let memory = memories.of(name, &blocks);
        let (retry_budget, proxy_protocol) = (blocks.retry_budget, blocks.proxy_protocol);
        let balancer = Balancer::new(blocks.load_balancer.unwrap_or_default(), endpoints, layout, memory);
        let counting = || retry_budget.map(|_| ConnectionPool::default());
        let connections = blocks.connection_pool.or_else(counting);
        Some(Self { balancer, connections, retry_budget, tls: blocks.tls.unwrap_or_default(), proxy_protocol })
    }
}
