//! What an `http[]` rule that forwards does besides: time limits, retries.

use super::{
    duration,
    findings::{Findings, Path},
    retries,
};
use crate::{istio::http_route as istio, model::forward_policy::ForwardPolicy};

/// Reads the policies of `route`; `None` when there are none, which is what most rules say. A value that is refused is
/// reported, and the rule is served without it.
pub(super) fn read(
    route: &istio::HttpRoute,
    path: &Path<'_>,
    findings: &mut Findings<'_>,
) -> Option<Box<ForwardPolicy>> {
    let timeout = duration::read(route.timeout.as_deref(), &path.field("timeout"), findings);
    let retries = route.retries.as_ref().map(|retries| retries::read(retries, &path.field("retries"), findings));
    let policy = ForwardPolicy { timeout, retries };
    (policy != ForwardPolicy::default()).then(|| Box::new(policy))
}
