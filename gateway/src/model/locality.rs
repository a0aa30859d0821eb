//! Where something runs: region, zone and subzone, as Istio compares them.

use super::object::Labels;
use std::sync::Arc;

const REGION: &str = "topology.kubernetes.io/region";
const ZONE: &str = "topology.kubernetes.io/zone";
const SUBZONE: &str = "topology.istio.io/subzone";

/// What is not known of it is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Locality {
    pub region: Arc<str>,
    pub zone: Arc<str>,
    pub subzone: Arc<str>,
}

impl Locality {
    /// Reads `region/zone/subzone`, of which the later parts may be missing (`SplitLocalityLabel` in istio's
    /// pilot/pkg/serviceregistry/util/label/label.go).
    pub fn parse(text: &str) -> Self {
        let mut parts = text.split('/').map(Arc::from);
        let mut next = || parts.next().unwrap_or_default();
        Self { region: next(), zone: next(), subzone: next() }
    }

    /// What a workload's own labels say, with dots for slashes, which labels cannot hold; `None` when they say nothing
    /// (`GetLocalityLabel` and `SanitizeLocalityLabel` in istio/pkg/model/proxy.go).
    pub fn of_workload(labels: &Labels) -> Option<Self> {
        let text = labels.get("topology.istio.io/locality").or_else(|| labels.get("istio-locality"))?;
        let text = Some(&**text).filter(|text| !text.is_empty())?;
        Some(if text.contains('/') { Self::parse(text) } else { Self::parse(&text.replace('.', "/")) })
    }

    /// What the labels of a node say (`getPodLocality` in istio's pilot/pkg/serviceregistry/kube/controller/controller.go).
    pub fn of_node(labels: &Labels) -> Self {
        let first = |names: [&str; 2]| names.iter().find_map(|name| labels.get(*name).cloned()).unwrap_or_default();
        Self {
            region: first([REGION, "failure-domain.beta.kubernetes.io/region"]),
            zone: first([ZONE, "failure-domain.beta.kubernetes.io/zone"]),
            subzone: labels.get(SUBZONE).cloned().unwrap_or_default(),
        }
    }

    /// Whether it lies in `area`, which may leave out its later parts or have `*` for them (`LocalityMatch` in istio's
    /// pilot/pkg/networking/util/util.go).
    pub fn is_in(&self, area: &Self) -> bool {
        let part = |area: &str, own: &str| matches!(area, "*" | "") || area == own;
        (&*area.region == "*" || area.region == self.region)
            && part(&area.zone, &self.zone)
            && part(&area.subzone, &self.subzone)
    }

    /// How far away `other` is: 0 the same, 1 in the same zone, 2 in the same region, 3 elsewhere (`LbPriority` in the same
    /// file).
    pub fn distance(&self, other: &Self) -> u32 {
        match (self.region == other.region, self.zone == other.zone, self.subzone == other.subzone) {
            (false, ..) => 3,
            (true, false, _) => 2,
            (true, true, false) => 1,
            (true, true, true) => 0,
        }
    }

    /// The part that the label `name` stands for, where it is one of these labels and the part is known.
    pub fn label(&self, name: &str) -> Option<&Arc<str>> {
        let part = match name {
            REGION => &self.region,
            ZONE => &self.zone,
            SUBZONE => &self.subzone,
            _ => return None,
        };
        Some(part).filter(|part| !part.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect()
    }

    #[test]
    fn labels_are_read() {
        let whole = Locality::parse("r/z/s");
        assert_eq!(Locality::of_workload(&labels(&[("istio-locality", "r.z.s")])), Some(whole.clone()));
        let both = labels(&[("istio-locality", "other"), ("topology.istio.io/locality", "r.z.s")]);
        assert_eq!(Locality::of_workload(&both), Some(whole.clone()));
        assert_eq!(Locality::of_workload(&labels(&[("istio-locality", "r/z.1/s")])), Some(Locality::parse("r/z.1/s")));
        assert_eq!(Locality::of_workload(&labels(&[("istio-locality", "")])), None);
        assert_eq!(Locality::of_node(&labels(&[(REGION, "r"), (ZONE, "z"), (SUBZONE, "s")])), whole);
        let old = labels(&[("failure-domain.beta.kubernetes.io/zone", "z")]);
        assert_eq!(Locality::of_node(&old), Locality::parse("/z"));
        assert_eq!(Locality::of_node(&Labels::new()), Locality::default());
    }

    #[test]
    fn areas_hold_what_lies_in_them() {
        let here = Locality::parse("r/z/s");
        for (area, holds) in [
            ("r", true),
            ("r/*", true),
            ("r/z", true),
            ("r/z/*", true),
            ("r/z/s", true),
            ("*", true),
            ("*/z", true),
            ("r/y", false),
            ("r/z/t", false),
            ("q", false),
            ("", false),
        ] {
            assert_eq!(here.is_in(&Locality::parse(area)), holds, "{area}");
        }
        for (other, distance) in [("r/z/s", 0), ("r/z/t", 1), ("r/z", 1), ("r/y/s", 2), ("q/z/s", 3), ("", 3)] {
            assert_eq!(here.distance(&Locality::parse(other)), distance, "{other}");
        }
    }
}
