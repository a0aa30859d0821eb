//! The state of the fast path as metrics, read from the kernel's maps when somebody scrapes.

use super::{Fastpath, Mode, Status};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
};
use std::{fmt, sync::Arc};

/// `gateway_fastpath_*`: whether it works and why not, pairs, and what was moved by direction and reason.
#[derive(Debug)]
pub struct FastpathMetrics {
    fastpath: Arc<Fastpath>,
}

impl FastpathMetrics {
    pub const fn new(fastpath: Arc<Fastpath>) -> Self {
        Self { fastpath }
    }
}

impl Collector for FastpathMetrics {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        encode(&self.fastpath.status(), encoder)
    }
}

fn encode(status: &Status, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
    let mode = match status.mode {
        Mode::Kernel => "kernel",
        Mode::Userspace => "userspace",
    };
    let mut modes = encoder.encode_descriptor(
        "gateway_fastpath",
        "Where bytes flow, and why not through the kernel",
        None,
        MetricType::Gauge,
    )?;
    let labels = [("mode", mode), ("reason", status.reason.as_deref().unwrap_or_default())];
    ConstGauge::new(1_i64).encode(modes.encode_family(&labels)?)?;
    let tripped = encoder.encode_descriptor(
        "gateway_fastpath_tripped",
        "Whether it was switched off for good after a mismatch",
        None,
        MetricType::Gauge,
    )?;
    ConstGauge::new(i64::from(status.tripped)).encode(tripped)?;
    let Some(pairs) = &status.pairs else { return Ok(()) };
    let mut live = encoder.encode_descriptor(
        "gateway_fastpath_pairs",
        "Connections whose two ends on this node are proven, by what is at the other end",
        None,
        MetricType::Gauge,
    )?;
    for (leg, count) in [("caller", pairs.callers), ("endpoint", pairs.endpoints)] {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        ConstGauge::new(count).encode(live.encode_family(&[("leg", leg)])?)?;
    }
    let mut refused = encoder.encode_descriptor(
        "gateway_fastpath_refused",
        "Connections of the gateway on this node that stay with TCP, by reason",
        None,
        MetricType::Counter,
    )?;
    for (reason, count) in &status.refused {
        ConstCounter::new(*count).encode(refused.encode_family(&[("reason", *reason)])?)?;
    }
    for (name, help, unit) in [
        ("gateway_fastpath_messages", "Messages sent by sockets in the map, by way", Unit::Messages),
        ("gateway_fastpath_bytes", "Bytes sent by sockets in the map, by way", Unit::Bytes),
    ] {
        let mut moved = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (direction, amounts) in &status.moved {
            for (way, amount) in [("kernel", amounts.redirected), ("tcp", amounts.passed)] {
                let count = match unit {
                    Unit::Messages => amount.messages,
                    Unit::Bytes => amount.bytes,
                };
                let labels = [("direction", *direction), ("way", way)];
                ConstCounter::new(count).encode(moved.encode_family(&labels)?)?;
            }
        }
    }
    let mut passed = encoder.encode_descriptor(
        "gateway_fastpath_passed",
        "Messages left to TCP, by reason",
        None,
        MetricType::Counter,
    )?;
    for (direction, amounts) in &status.moved {
        for (reason, count) in &amounts.passed_because {
            let labels = [("direction", *direction), ("reason", *reason)];
            ConstCounter::new(*count).encode(passed.encode_family(&labels)?)?;
        }
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Unit {
    Messages,
    Bytes,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fastpath::{Amount, Moved, PairCount};
    use prometheus_client::registry::Registry;
    use std::collections::BTreeMap;

    #[derive(Debug)]
    struct Fixed(Status);

    impl Collector for Fixed {
        fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
            encode(&self.0, encoder)
        }
    }

    #[test]
    fn every_reason_is_a_series() {
        let moved = Moved {
            redirected: Amount { messages: 3, bytes: 300 },
            passed: Amount { messages: 2, bytes: 20 },
            passed_because: BTreeMap::from([("unread", 2)]),
        };
        let status = Status {
            mode: Mode::Kernel,
            pairs: Some(PairCount { callers: 4, endpoints: 5, total: 9 }),
            refused: BTreeMap::from([("mptcp", 1)]),
            moved: BTreeMap::from([("caller_to_gateway", moved)]),
            ..Status::default()
        };
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Fixed(status)));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "gateway_fastpath{mode=\"kernel\",reason=\"\"} 1",
            "gateway_fastpath_tripped 0",
            "gateway_fastpath_pairs{leg=\"endpoint\"} 5",
            "gateway_fastpath_refused_total{reason=\"mptcp\"} 1",
            "gateway_fastpath_bytes_total{direction=\"caller_to_gateway\",way=\"kernel\"} 300",
            "gateway_fastpath_messages_total{direction=\"caller_to_gateway\",way=\"tcp\"} 2",
            "gateway_fastpath_passed_total{direction=\"caller_to_gateway\",reason=\"unread\"} 2",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
        }
    }
}
