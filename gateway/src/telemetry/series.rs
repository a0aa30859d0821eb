//! Istio's request metrics: one [`Series`] for each combination of labels, written by all workers, read by a scrape.

use super::{histogram::Histogram, requests::Measured};
use crate::routing::cluster::Cluster;
use parking_lot::Mutex;
use prometheus_client::{
    collector,
    encoding::{DescriptorEncoder, NoLabelSet},
    metrics::MetricType,
};
use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// Upper bounds in milliseconds; a selection of those Envoy uses, so that a series costs less than Istio's.
const DURATION_BOUNDS: [f64; 15] =
    [0.5, 1., 2.5, 5., 10., 25., 50., 100., 250., 500., 1000., 2500., 5000., 10_000., 60_000.];

/// Upper bounds in bytes.
const SIZE_BOUNDS: [f64; 9] = [0., 100., 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];

/// Combinations of labels that get a series of their own; the rest share one named `other`. 5,000 routes make a million
/// time series in some gateways, and end Prometheus before anything else.
const MOST_SERIES: usize = 2000;

/// Everything counted under one combination of labels.
#[derive(Debug)]
pub(super) struct Series {
    requests: AtomicU64,
    duration: Histogram<{ DURATION_BOUNDS.len() }>,
    request_bytes: Histogram<{ SIZE_BOUNDS.len() }>,
    response_bytes: Histogram<{ SIZE_BOUNDS.len() }>,
}

/// The labels that differ between series.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SeriesKey {
    destination: Destination,
    protocol: &'static str,
    status: u16,
    flags: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Destination {
    /// Answered without one.
    None,
    Service {
        host: Arc<str>,
        namespace: Arc<str>,
        subset: Arc<str>,
    },
    /// More than there is room for.
    Other,
}

/// All series there are.
#[derive(Debug)]
pub(super) struct SeriesTable {
    gateway_namespace: Arc<str>,
    series: Mutex<BTreeMap<SeriesKey, Arc<Series>>>,
}

/// Encodes the table for a scrape.
#[derive(Debug)]
pub(super) struct Collector(pub(super) Arc<SeriesTable>);

impl Series {
    fn new() -> Self {
        Self {
            requests: AtomicU64::new(0),
            duration: Histogram::new(&DURATION_BOUNDS),
            request_bytes: Histogram::new(&SIZE_BOUNDS),
            response_bytes: Histogram::new(&SIZE_BOUNDS),
        }
    }

    pub(super) fn count(&self, measured: &Measured) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.duration.observe(u64::try_from(measured.duration.as_micros()).unwrap_or(u64::MAX));
        self.request_bytes.observe(measured.request_bytes.saturating_mul(1000));
        self.response_bytes.observe(measured.response_bytes.saturating_mul(1000));
    }
}

impl SeriesKey {
    /// The labels for a request to `cluster`, or for one that was answered without.
    pub(super) fn new(cluster: Option<&Cluster>, measured: &Measured) -> Self {
        let destination = cluster.map_or(Destination::None, Destination::of);
        Self { destination, protocol: measured.protocol.name(), status: measured.status, flags: measured.flags }
    }

    fn labels<'a>(&'a self, gateway_namespace: &'a str, status: &'a str) -> Vec<(&'static str, &'a str)> {
        let mut labels = common_labels(&self.destination, gateway_namespace);
        labels.extend([("request_protocol", self.protocol), ("response_code", status), ("response_flags", self.flags)]);
        labels
    }
}

impl Destination {
    pub(super) fn of(cluster: &Cluster) -> Self {
        Self::Service {
            host: Arc::clone(&cluster.name.host),
            namespace: Arc::clone(&cluster.namespace),
            subset: Arc::clone(&cluster.name.subset),
        }
    }
}

/// Every label Istio's dashboards filter on, whatever is spoken; what a gateway without sidecars cannot know is `unknown`.
pub(super) fn common_labels<'a>(
    destination: &'a Destination,
    gateway_namespace: &'a str,
) -> Vec<(&'static str, &'a str)> {
    let (host, name, namespace, version) = match destination {
        Destination::None => ("unknown", "unknown", "unknown", "unknown"),
        Destination::Other => ("other", "other", "other", "other"),
        Destination::Service { host, namespace, subset } => {
            // Istio's destination_service_name is the name of the Service, or the whole host of something else.
            let name = if namespace.is_empty() { host } else { host.split('.').next().unwrap_or(host) };
            (&**host, name, or_unknown(namespace), or_unknown(subset))
        }
    };
    vec![
        ("reporter", "source"),
        ("source_workload", "istio-ingressgateway"),
        ("source_workload_namespace", or_unknown(gateway_namespace)),
        ("source_canonical_service", "istio-ingressgateway"),
        ("source_app", "istio-ingressgateway"),
        ("destination_service", host),
        ("destination_service_name", name),
        ("destination_service_namespace", namespace),
        ("destination_workload", "unknown"),
        ("destination_workload_namespace", namespace),
        ("destination_canonical_service", name),
        ("destination_app", name),
        ("destination_version", version),
        ("connection_security_policy", "unknown"),
    ]
}

impl SeriesTable {
    pub(super) fn new(gateway_namespace: Arc<str>) -> Self {
        Self { gateway_namespace, series: Mutex::default() }
    }

    /// The series of `key`, or, when there are too many, the one that all the rest share.
    pub(super) fn series(&self, key: SeriesKey) -> Arc<Series> {
        let mut all = self.series.lock();
        let key = if all.len() >= MOST_SERIES && !all.contains_key(&key) {
            SeriesKey { destination: Destination::Other, ..key }
        } else {
            key
        };
        Arc::clone(all.entry(key).or_insert_with(|| Arc::new(Series::new())))
    }
}

impl collector::Collector for Collector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        // A copy of the list, so that no worker waits for the scrape.
        let all: Vec<(SeriesKey, Arc<Series>)> =
            self.0.series.lock().iter().map(|(key, series)| (key.clone(), Arc::clone(series))).collect();
        let statuses: Vec<String> = all.iter().map(|(key, _)| key.status.to_string()).collect();
        let labelled: Vec<(Vec<(&str, &str)>, &Series)> = all
            .iter()
            .zip(&statuses)
            .map(|((key, series), status)| (key.labels(&self.0.gateway_namespace, status), &**series))
            .collect();

        let mut requests = encoder.encode_descriptor("istio_requests", "Requests", None, MetricType::Counter)?;
        for (labels, series) in &labelled {
            let count = series.requests.load(Ordering::Relaxed);
            requests.encode_family(labels)?.encode_counter::<NoLabelSet, _, f64>(&count, None)?;
        }
        let mut duration = encoder.encode_descriptor(
            "istio_request_duration_milliseconds",
            "From the head of the request to the end of the response",
            None,
            MetricType::Histogram,
        )?;
        for (labels, series) in &labelled {
            series.duration.encode(duration.encode_family(labels)?)?;
        }
        let mut bytes =
            encoder.encode_descriptor("istio_request_bytes", "Request bodies", None, MetricType::Histogram)?;
        for (labels, series) in &labelled {
            series.request_bytes.encode(bytes.encode_family(labels)?)?;
        }
        let mut bytes =
            encoder.encode_descriptor("istio_response_bytes", "Response bodies", None, MetricType::Histogram)?;
        for (labels, series) in &labelled {
            series.response_bytes.encode(bytes.encode_family(labels)?)?;
        }
        Ok(())
    }
}

fn or_unknown(text: &str) -> &str {
    if text.is_empty() { "unknown" } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::requests::RequestProtocol;
    use prometheus_client::{encoding::text::encode, registry::Registry};
    use std::time::Duration;

    #[test]
    fn destinations_beyond_the_limit_share_one_series() {
        let table = Arc::new(SeriesTable::new("istio-system".into()));
        let measured = Measured {
            status: 200,
            flags: "-",
            protocol: RequestProtocol::Http,
            duration: Duration::ZERO,
            request_bytes: 0,
            response_bytes: 0,
        };
        let of = |number: usize| {
            let host = format!("service-{number}.test").into();
            let destination = Destination::Service { host, namespace: "n".into(), subset: "".into() };
            table.series(SeriesKey { destination, ..SeriesKey::new(None, &measured) })
        };
        for number in 0..MOST_SERIES + 500 {
            of(number).count(&measured);
        }
        assert_eq!(table.series.lock().len(), MOST_SERIES + 1);
        assert!(Arc::ptr_eq(&of(MOST_SERIES), &of(MOST_SERIES + 499)), "who comes late has none of its own");
        assert!(!Arc::ptr_eq(&of(0), &of(MOST_SERIES)), "who has one keeps it");

        let mut registry = Registry::default();
        registry.register_collector(Box::new(Collector(table)));
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        let requests = text.lines().filter(|line| line.starts_with("istio_requests_total{"));
        assert_eq!(requests.clone().count(), MOST_SERIES + 1);
        let others: Vec<&str> = requests.filter(|line| line.contains(r#"destination_service="other""#)).collect();
        assert!(others.len() == 1 && others[0].ends_with(" 500"), "{others:?}");
    }
}
