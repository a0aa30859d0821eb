//! The record of one connection that is passed on: counted while it lives, written to the access log when it ends.

use super::{relay::Meter, stream::Caller, worker::Worker};
use crate::{
    routing::cluster::{Cluster, ClusterState},
    telemetry::streams::{StreamFacts, StreamSeries},
};
use std::{net::SocketAddr, rc::Rc, sync::Arc, time::Instant};

/// Tells telemetry about the end when it is dropped.
#[derive(Debug)]
pub(super) struct StreamRecord {
    worker: Rc<Worker>,
    cluster: Arc<Cluster>,
    began: Instant,
    flags: &'static str,
    /// Where its bytes are counted, once it is open.
    series: Option<Arc<StreamSeries>>,
    received: u64,
    sent: u64,
    /// `None` while there is no access log.
    facts: Option<Box<StreamFacts>>,
}

impl StreamRecord {
    pub(super) fn new(worker: &Rc<Worker>, cluster: &Arc<Cluster>, caller: &Caller) -> Self {
        let facts = || Box::new(StreamFacts::new(caller.local, caller.peer, caller.server_name.clone()));
        Self {
            worker: Rc::clone(worker),
            cluster: Arc::clone(cluster),
            began: Instant::now(),
            flags: "-",
            series: None,
            received: 0,
            sent: 0,
            facts: worker.telemetry().wants_facts().then(facts),
        }
    }

    /// The endpoint at `address` was chosen.
    pub(super) fn tries(&mut self, address: SocketAddr) {
        if let Some(facts) = &mut self.facts {
            facts.upstream_host = Some(address);
        }
    }

    pub(super) fn connected(&mut self, local: Option<SocketAddr>) {
        if let Some(facts) = &mut self.facts {
            facts.upstream_local = local;
        }
    }

    /// Both connections stand.
    pub(super) fn opened(&mut self) {
        let series = self.worker.telemetry().streams().series(&self.cluster, self.flags);
        series.opened();
        self.series = Some(series);
    }

    /// The connection is closed without having been carried anywhere.
    pub(super) fn refused(&mut self, flags: &'static str, failure: Option<String>) {
        self.flags = flags;
        if let Some(facts) = &mut self.facts {
            facts.failure = failure;
        }
        // Istio counts it as opened all the same.
        self.worker.telemetry().streams().series(&self.cluster, flags).opened();
    }

    /// Why a connection that was carried has ended.
    pub(super) fn ended(&mut self, flags: &'static str) {
        self.flags = flags;
    }
}

impl Meter for StreamRecord {
    fn to_endpoint(&mut self, bytes: usize) {
        self.received += bytes as u64;
        if let Some(series) = &self.series {
            series.received(bytes);
        }
    }

    fn to_client(&mut self, bytes: usize) {
        self.sent += bytes as u64;
        if let Some(series) = &self.series {
            series.sent(bytes);
        }
    }
}

impl Drop for StreamRecord {
    fn drop(&mut self) {
        let telemetry = self.worker.telemetry();
        telemetry.streams().series(&self.cluster, self.flags).closed();
        if let Some(facts) = self.facts.take() {
            let is_known = matches!(self.cluster.state, ClusterState::Known(_));
            let cluster = is_known.then_some(&*self.cluster.label);
            telemetry.log_stream(&facts, self.flags, (self.received, self.sent), self.began.elapsed(), cluster);
        }
    }
}
