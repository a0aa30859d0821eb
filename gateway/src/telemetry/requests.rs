//! Counting requests, at a cost of some tens of nanoseconds each.

use super::{
    ConnectionGauges,
    part::Part,
    series::{Series, SeriesKey, SeriesTable},
};
use crate::routing::cluster::Cluster;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use std::{sync::Arc, time::Duration};

/// What is counted about one request.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    pub status: u16,
    /// Envoy's response flags; `-` for none.
    pub flags: &'static str,
    pub protocol: RequestProtocol,
    pub duration: Duration,
    pub request_bytes: u64,
    pub response_bytes: u64,
}

/// Istio's `request_protocol`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RequestProtocol {
    Http,
    Grpc,
}

/// One worker's way into the metrics: it remembers where it counted last.
#[derive(Debug)]
pub(crate) struct Recorder {
    table: Arc<SeriesTable>,
    known: HashMap<Remembered, Known, RandomState>,
    /// Connections of clients from which nothing has come for a while.
    pub(crate) resting: Part,
    /// Unused connections to endpoints.
    pub(crate) upstream_idle: Part,
}

/// Where to count, and what keeps the address in the key its own.
#[derive(Debug)]
struct Known {
    series: Arc<Series>,
    _cluster: Option<Arc<Cluster>>,
}

/// A cluster by its address; the entry keeps the cluster alive, so that no other can come to lie there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Remembered {
    cluster: usize,
    status: u16,
    flags: &'static str,
    protocol: RequestProtocol,
}

/// Beyond so many the memory is emptied: clusters that were rebuilt must not be kept for ever.
const REMEMBERED: usize = 1024;

impl RequestProtocol {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Grpc => "grpc",
        }
    }
}

impl Recorder {
    pub(super) fn new(table: Arc<SeriesTable>, gauges: ConnectionGauges) -> Self {
        let (resting, upstream_idle) = (Part::of(gauges.resting), Part::of(gauges.upstream_idle));
        Self { table, known: HashMap::default(), resting, upstream_idle }
    }

    /// Counts one request to `cluster`, or to none when it was answered without one.
    pub(crate) fn record(&mut self, cluster: Option<&Arc<Cluster>>, measured: &Measured) {
        let key = Remembered {
            cluster: cluster.map_or(0, |cluster| Arc::as_ptr(cluster) as usize),
            status: measured.status,
            flags: measured.flags,
            protocol: measured.protocol,
        };
        if let Some(known) = self.known.get(&key) {
            known.series.count(measured);
            return;
        }
        let series = self.table.series(SeriesKey::new(cluster.map(|cluster| &**cluster), measured));
        series.count(measured);
        if self.known.len() >= REMEMBERED {
            self.known.clear();
        }
        self.known.insert(key, Known { series, _cluster: cluster.cloned() });
    }
}
