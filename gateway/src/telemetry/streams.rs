//! Istio's metrics of TCP connections, and their line in the access log.

use super::{
    access_log::{OrDash, Utc},
    series::{Destination, common_labels},
};
use crate::routing::cluster::Cluster;
use parking_lot::Mutex;
use prometheus_client::{
    collector,
    encoding::{DescriptorEncoder, NoLabelSet},
    metrics::MetricType,
};
use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

/// Combinations of labels that get a series of their own; the rest share one named `other`.
const MOST_SERIES: usize = 2000;

/// What is counted under one combination of labels.
#[derive(Debug, Default)]
pub(crate) struct StreamSeries {
    opened: AtomicU64,
    closed: AtomicU64,
    received: AtomicU64,
    sent: AtomicU64,
}

impl StreamSeries {
    pub(crate) fn opened(&self) {
        self.opened.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn closed(&self) {
        self.closed.fetch_add(1, Ordering::Relaxed);
    }

    /// So many bytes have come from the client.
    pub(crate) fn received(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// So many bytes have gone to the client.
    pub(crate) fn sent(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// All series there are, by destination and flags.
#[derive(Debug)]
pub(crate) struct StreamCounters {
    gateway_namespace: Arc<str>,
    series: Mutex<BTreeMap<(Destination, &'static str), Arc<StreamSeries>>>,
}

impl StreamCounters {
    pub(super) fn new(gateway_namespace: Arc<str>) -> Self {
        Self { gateway_namespace, series: Mutex::default() }
    }

    pub(crate) fn series(&self, cluster: &Cluster, flags: &'static str) -> Arc<StreamSeries> {
        self.series_of(Destination::of(cluster), flags)
    }

    /// The one of `destination`, or, when there are too many, the one that all the rest share.
    fn series_of(&self, destination: Destination, flags: &'static str) -> Arc<StreamSeries> {
        let mut all = self.series.lock();
        let key = (destination, flags);
        let is_new = !all.contains_key(&key);
        let key = if is_new && all.len() >= MOST_SERIES { (Destination::Other, flags) } else { key };
        Arc::clone(all.entry(key).or_default())
    }
}

/// Encodes the counters for a scrape.
#[derive(Debug)]
pub(super) struct Collector(pub(super) Arc<StreamCounters>);

impl collector::Collector for Collector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        type Figure = fn(&StreamSeries) -> &AtomicU64;
        let figures: [(&str, &str, Figure); 4] = [
            ("istio_tcp_connections_opened", "TCP connections that were opened", |series| &series.opened),
            ("istio_tcp_connections_closed", "TCP connections that have ended", |series| &series.closed),
            ("istio_tcp_received_bytes", "Bytes from the clients of TCP connections", |series| &series.received),
            ("istio_tcp_sent_bytes", "Bytes to the clients of TCP connections", |series| &series.sent),
        ];
        // A copy of the list, so that no worker waits for the scrape.
        let all: Vec<_> = self.0.series.lock().iter().map(|(key, series)| (key.clone(), Arc::clone(series))).collect();
        for (name, help, figure) in figures {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for ((destination, flags), series) in &all {
                let mut labels = common_labels(destination, &self.0.gateway_namespace);
                labels.extend([("request_protocol", "tcp"), ("response_flags", *flags)]);
                let count = figure(series).load(Ordering::Relaxed);
                family.encode_family(&labels)?.encode_counter::<NoLabelSet, _, f64>(&count, None)?;
            }
        }
        Ok(())
    }
}

/// What a line of the access log says beyond the figures.
#[derive(Debug)]
pub(crate) struct StreamFacts {
    began: SystemTime,
    local: SocketAddr,
    remote: SocketAddr,
    server_name: Option<Arc<str>>,
    pub(crate) upstream_host: Option<SocketAddr>,
    pub(crate) upstream_local: Option<SocketAddr>,
    /// Envoy's `%UPSTREAM_TRANSPORT_FAILURE_REASON%`.
    pub(crate) failure: Option<String>,
    /// Envoy's `%RESPONSE_CODE_DETAILS%`.
    pub(crate) details: &'static str,
}

impl StreamFacts {
    pub(crate) fn new(local: SocketAddr, remote: SocketAddr, server_name: Option<Arc<str>>) -> Self {
        Self {
            began: SystemTime::now(),
            local,
            remote,
            server_name,
            upstream_host: None,
            upstream_local: None,
            failure: None,
            details: "-",
        }
    }

    /// One line, with its line feed: Istio's format, which is one for HTTP and TCP.
    pub(super) fn line(
        &self,
        flags: &str,
        (received, sent): (u64, u64),
        duration: Duration,
        cluster: Option<&str>,
    ) -> String {
        let mut line = String::with_capacity(256);
        // Writing into a String does not fail.
        let _written = writeln!(
            line,
            "[{}] \"- - -\" 0 {flags} {} - \"{}\" {received} {sent} {} - \"-\" \"-\" \"-\" \"-\" \"{}\" {} {} {} {} {} -",
            Utc(self.began),
            self.details,
            OrDash(self.failure.as_deref()),
            duration.as_millis(),
            OrDash(self.upstream_host),
            OrDash(cluster),
            OrDash(self.upstream_local),
            self.local,
            self.remote,
            OrDash(self.server_name.as_deref()),
        )
        .is_ok();
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::{encoding::text::encode, registry::Registry};

    #[test]
    fn destinations_beyond_the_limit_share_one_series() {
        let counters = Arc::new(StreamCounters::new("istio-system".into()));
        let of = |number: usize| {
            let host = format!("service-{number}.test").into();
            counters.series_of(Destination::Service { host, namespace: "n".into(), subset: "".into() }, "-")
        };
        for number in 0..MOST_SERIES + 500 {
            of(number).opened();
        }
        assert_eq!(counters.series.lock().len(), MOST_SERIES + 1);
        assert!(Arc::ptr_eq(&of(MOST_SERIES), &of(MOST_SERIES + 499)), "who comes late has none of its own");
        assert!(!Arc::ptr_eq(&of(0), &of(MOST_SERIES)), "who has one keeps it");

        let mut registry = Registry::default();
        registry.register_collector(Box::new(Collector(counters)));
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        let opened = text.lines().filter(|line| line.starts_with("istio_tcp_connections_opened_total{"));
        assert_eq!(opened.clone().count(), MOST_SERIES + 1);
        let others: Vec<&str> = opened.filter(|line| line.contains(r#"destination_service="other""#)).collect();
        assert!(others.len() == 1 && others[0].ends_with(" 500"), "{others:?}");
    }

    #[test]
    fn a_line_has_the_fields_of_istio_s_format() {
        let address = |text: &str| text.parse().unwrap();
        let mut facts = StreamFacts::new(address("10.0.0.1:8443"), address("10.0.0.2:40000"), Some("a.test".into()));
        facts.began = SystemTime::UNIX_EPOCH;
        facts.upstream_host = Some(address("10.0.0.3:9000"));
        facts.upstream_local = Some(address("10.0.0.1:50000"));
        let cluster = "outbound|9000||a.default.svc.cluster.local";
        assert_eq!(
            facts.line("-", (3, 5), Duration::from_millis(7), Some(cluster)),
            "[1970-01-01T00:00:00.000Z] \"- - -\" 0 - - - \"-\" 3 5 7 - \"-\" \"-\" \"-\" \"-\" \"10.0.0.3:9000\" \
             outbound|9000||a.default.svc.cluster.local 10.0.0.1:50000 10.0.0.1:8443 10.0.0.2:40000 a.test -\n"
        );
    }
}
