//! Metrics of circuit breakers and outlier detection: of clusters where there is something to tell, so that thousands of
//! idle rules make no series.

use crate::control::publish::Published;
use prometheus_client::{
    collector,
    encoding::{DescriptorEncoder, NoLabelSet},
    metrics::MetricType,
};
use std::fmt;

/// Reads the current snapshot for every scrape.
#[derive(Debug)]
pub(crate) struct Collector(pub(crate) Published);

/// One series of a cluster.
struct Row<'c> {
    cluster: &'c str,
    value: u64,
    /// Beyond the cluster.
    limit: Option<&'static str>,
}

impl collector::Collector for Collector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let snapshot = self.0.snapshot();
        let memories = || {
            let clusters = snapshot.clusters().iter();
            clusters.filter_map(|cluster| Some((&*cluster.label, cluster.traffic.as_deref()?.balancer.memory())))
        };
        let outliers = || memories().filter_map(|(label, memory)| Some((label, memory.outliers.as_ref()?.counts())));
        let row = |cluster, value: u64, limit| (value > 0).then_some(Row { cluster, value, limit });

        let ejected = outliers().filter_map(|(cluster, counts)| row(cluster, u64::from(counts.ejected), None));
        family(&mut encoder, "gateway_outlier_ejected", "Endpoints that are left out now", MetricType::Gauge, ejected)?;
        let ejections = outliers().filter_map(|(cluster, counts)| row(cluster, counts.ejections, None));
        family(&mut encoder, "gateway_outlier_ejections", "Endpoints left out so far", MetricType::Counter, ejections)?;
        let overflow = outliers().filter_map(|(cluster, counts)| row(cluster, counts.overflow, None));
        let help = "Endpoints kept although they failed, because too many are left out already";
        family(&mut encoder, "gateway_outlier_overflow", help, MetricType::Counter, overflow)?;
        let overflow = memories().flat_map(|(cluster, memory)| {
            let counts = memory.limits.counts();
            [
                row(cluster, counts.request_overflow, Some("requests")),
                row(cluster, counts.pending_overflow, Some("pending")),
                row(cluster, counts.retry_overflow, Some("retries")),
            ]
        });
        let help = "Requests refused because their cluster was as busy as it may be";
        family(&mut encoder, "gateway_limit_overflow", help, MetricType::Counter, overflow.flatten())
    }
}

fn family<'c>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    kind: MetricType,
    rows: impl Iterator<Item = Row<'c>>,
) -> fmt::Result {
    let mut rows = rows.peekable();
    if rows.peek().is_none() {
        return Ok(());
    }
    let mut family = encoder.encode_descriptor(name, help, None, kind)?;
    for Row { cluster, value, limit } in rows {
        let labels: Vec<(&str, &str)> =
            [("cluster", cluster)].into_iter().chain(limit.map(|limit| ("limit", limit))).collect();
        let mut metric = family.encode_family(&labels)?;
        match kind {
            MetricType::Gauge => metric.encode_gauge(&i64::try_from(value).unwrap_or(i64::MAX))?,
            _ => metric.encode_counter::<NoLabelSet, _, f64>(&value, None)?,
        }
    }
    Ok(())
}
