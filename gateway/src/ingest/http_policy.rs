//! What an `http[]` rule that forwards does besides: time limits, retries, faults, CORS, mirrors.

use super::{
    IngestContext, cors, duration, fault,
    findings::{Findings, Path},
    mirrors, retries,
};
use crate::{istio::http_route as istio, model::forward_policy::ForwardPolicy};

/// Reads the policies of `route`, of an object in `namespace`; `None` when there are none, which is what most rules say. A
/// value that is refused is reported, and the rule is served without it.
pub(super) fn read(
    route: &istio::HttpRoute,
    namespace: &str,
    context: &IngestContext,
    path: &Path<'_>,
    findings: &mut Findings<'_>,
) -> Option<Box<ForwardPolicy>> {
    let policy = ForwardPolicy {
        timeout: duration::read(route.timeout.as_deref(), &path.field("timeout"), findings),
        retries: route.retries.as_ref().map(|retries| retries::read(retries, &path.field("retries"), findings)),
        fault: route.fault.as_ref().and_then(|fault| fault::read(fault, &path.field("fault"), findings)),
        cors: route.cors_policy.as_ref().map(|cors| cors::read(cors, &path.field("corsPolicy"), findings)),
        mirrors: mirrors::read(route, namespace, context, path, findings),
    };
    (policy != ForwardPolicy::default()).then(|| Box::new(policy))
}
