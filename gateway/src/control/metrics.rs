//! The state of the configuration as metrics, read from the status when somebody scrapes.

use super::{delta::SourceState, status::StatusView};
use crate::model::problem::Severity;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, gauge::ConstGauge},
};
use std::{fmt, time::SystemTime};

/// `gateway_config_*`: generation, age, objects and problems.
#[derive(Debug)]
pub struct StatusMetrics {
    view: StatusView,
}

impl StatusMetrics {
    pub const fn new(view: StatusView) -> Self {
        Self { view }
    }
}

impl Collector for StatusMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let status = self.view.load();
        let generation = ConstGauge::new(i64::try_from(status.generation).unwrap_or(i64::MAX));
        let descriptor = encoder.encode_descriptor(
            "gateway_config_generation",
            "Generation of the routing table in force; 0 before the first",
            None,
            MetricType::Gauge,
        )?;
        generation.encode(descriptor)?;
        if let Some(published) = status.published {
            let age = SystemTime::now().duration_since(published).unwrap_or_default().as_secs_f64();
            let descriptor = encoder.encode_descriptor(
                "gateway_config_age_seconds",
                "Time since the routing table in force was published",
                None,
                MetricType::Gauge,
            )?;
            ConstGauge::new(age).encode(descriptor)?;
        }
        if let Some(saved) = status.saved {
            let age = SystemTime::now().duration_since(saved).unwrap_or_default().as_secs_f64();
            let descriptor = encoder.encode_descriptor(
                "gateway_snapshot_age_seconds",
                "Time since the snapshot on disk was written",
                None,
                MetricType::Gauge,
            )?;
            ConstGauge::new(age).encode(descriptor)?;
        }
        self.encode_kinds(&mut encoder)?;
        let mut problems = encoder.encode_descriptor(
            "gateway_config_problems",
            "Findings about the configuration, by severity",
            None,
            MetricType::Gauge,
        )?;
        for (severity, label) in [(Severity::Error, "error"), (Severity::Warning, "warning")] {
            let count = status.problems.iter().filter(|problem| problem.severity == severity).count();
            gauge(count).encode(problems.encode_family(&[("severity", label)])?)?;
        }
        Ok(())
    }
}

impl StatusMetrics {
    fn encode_kinds(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let status = self.view.load();
        let mut objects = encoder.encode_descriptor(
            "gateway_config_objects",
            "Objects the source has, by kind and by whether they are served",
            None,
            MetricType::Gauge,
        )?;
        for kind in &status.kinds {
            let served = kind.objects - kind.rejected - kind.held_back;
            for (state, count) in [("served", served), ("held_back", kind.held_back), ("rejected", kind.rejected)] {
                gauge(count).encode(objects.encode_family(&[("kind", kind.kind.name()), ("state", state)])?)?;
            }
        }
        let mut synced = encoder.encode_descriptor(
            "gateway_source_synced",
            "Whether changes of the kind are being followed",
            None,
            MetricType::Gauge,
        )?;
        for kind in &status.kinds {
            let following = usize::from(kind.state == SourceState::Synced);
            gauge(following).encode(synced.encode_family(&[("kind", kind.kind.name())])?)?;
        }
        let mut restored = encoder.encode_descriptor(
            "gateway_source_restored",
            "Whether the objects of the kind are those that were on disk at the start",
            None,
            MetricType::Gauge,
        )?;
        for kind in &status.kinds {
            gauge(usize::from(kind.restored)).encode(restored.encode_family(&[("kind", kind.kind.name())])?)?;
        }
        Ok(())
    }
}

fn gauge(count: usize) -> ConstGauge<i64> {
    ConstGauge::new(i64::try_from(count).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::super::status::{self, KindStatus, Status};
    use super::*;
    use crate::model::object::Kind;
    use prometheus_client::registry::Registry;

    #[test]
    fn the_status_is_scraped() {
        let (writer, view) = status::channel();
        let mut registry = Registry::default();
        registry.register_collector(Box::new(StatusMetrics::new(view)));
        writer.store(Status {
            synced: true,
            generation: 7,
            published: Some(SystemTime::now()),
            saved: Some(SystemTime::now()),
            kinds: vec![KindStatus {
                kind: Kind::VirtualService,
                state: SourceState::Synced,
                listed: true,
                restored: true,
                waived: false,
                objects: 6,
                rejected: 2,
                held_back: 1,
            }],
            problems: std::sync::Arc::default(),
        });
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "gateway_config_generation 7",
            "gateway_config_objects{kind=\"VirtualService\",state=\"served\"} 3",
            "gateway_config_objects{kind=\"VirtualService\",state=\"held_back\"} 1",
            "gateway_config_objects{kind=\"VirtualService\",state=\"rejected\"} 2",
            "gateway_source_synced{kind=\"VirtualService\"} 1",
            "gateway_source_restored{kind=\"VirtualService\"} 1",
            "gateway_config_problems{severity=\"error\"} 0",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
        }
        for name in ["gateway_config_age_seconds ", "gateway_snapshot_age_seconds "] {
            assert!(text.contains(name), "{name} is not in\n{text}");
        }
    }
}
