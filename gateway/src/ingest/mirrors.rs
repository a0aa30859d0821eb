//! `mirror` and `mirrors` of an `http[]` rule.

use super::{
    IngestContext, destination,
    findings::{Findings, Path},
};
use crate::{
    istio::{
        common::{self, Percent},
        http_route as istio,
    },
    model::{
        mirror::Mirror,
        share::Share,
        virtual_service::{Destination, HeaderRules},
    },
};

/// Reads both (`validateHTTPMirrors` and the beginning of `validateHTTPRoute` in istio's validation, `MirrorPercent` in
/// istio's route.go). A mirror without a share of the requests is left out.
pub(super) fn read(
    route: &istio::HttpRoute,
    namespace: &str,
    context: &IngestContext,
    path: &Path<'_>,
    findings: &mut Findings<'_>,
) -> Vec<Mirror> {
    let mut mirrors = Vec::new();
    let mut add = |target: &common::Destination, share: Share, path: &Path<'_>, findings: &mut Findings<'_>| {
        if let Some(destination::Target { host, subset, port }) =
            destination::read(target, namespace, context, path, findings)
            && share != Share::NONE
        {
            let destination = Destination { host, subset, port, weight: 0, headers: HeaderRules::default() };
            mirrors.push(Mirror { destination, share });
        }
    };
    if let Some(percent) = route.mirror_percent {
        let path = path.field("mirrorPercent");
        findings.suspicious(&path, "is deprecated: use mirrorPercentage");
        if percent > 100 {
            findings.invalid(&path, format!("{percent} is more than 100"));
        }
    }
    let percentage = share(route.mirror_percentage.as_ref(), &path.field("mirrorPercentage"), findings);
    if let Some(mirror) = &route.mirror {
        let deprecated = route.mirror_percent.map(|percent| Share::of_percent(percent.into()));
        add(mirror, percentage.or(deprecated).unwrap_or(Share::ALL), &path.field("mirror"), findings);
    }
    let path = path.field("mirrors");
    for (index, mirror) in route.mirrors.iter().enumerate() {
        let path = path.index(index);
        let share = share(mirror.percentage.as_ref(), &path.field("percentage"), findings).unwrap_or(Share::ALL);
        match &mirror.destination {
            Some(target) => add(target, share, &path.field("destination"), findings),
            None => findings.schema(&path.field("destination"), "is required"),
        }
    }
    mirrors
}

fn share(percentage: Option<&Percent>, path: &Path<'_>, findings: &mut Findings<'_>) -> Option<Share> {
    let Percent { value } = percentage?;
    if !(0.0..=100.0).contains(value) {
        findings.invalid(&path.field("value"), format!("{value} is not from 0 to 100"));
    }
    Some(Share::of_percent(*value))
}
