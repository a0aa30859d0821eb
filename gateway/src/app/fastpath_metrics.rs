//! The mode of the short-circuit as a metric, read when somebody scrapes.

use crate::fastpath::{Fastpath, Mode};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::{MetricType, gauge::ConstGauge},
};
use std::{fmt, sync::Arc};

/// `gateway_fastpath{mode="kernel|userspace",reason="…"} 1`.
#[derive(Debug)]
pub(super) struct FastpathMetrics(Arc<Fastpath>);

impl FastpathMetrics {
    pub(super) fn new(fastpath: Arc<Fastpath>) -> Self {
        Self(fastpath)
    }
}

impl Collector for FastpathMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let status = self.0.status();
        let mode = match status.mode {
            Mode::Kernel => "kernel",
            Mode::Userspace => "userspace",
        };
        let reason = status.reason.unwrap_or_default();
        let mut modes = encoder.encode_descriptor(
            "gateway_fastpath",
            "Where bytes flow, and why not through the kernel",
            None,
            MetricType::Gauge,
        )?;
        ConstGauge::new(1_i64).encode(modes.encode_family(&[("mode", mode), ("reason", &reason)])?)
    }
}
