//! `trafficPolicy` of a DestinationRule and of its subsets: checked, not served yet.

use super::findings::{Findings, Path};
use crate::istio::destination_rule as istio;

/// Reports that the policy is not served, and what the webhook has against it (`validateTrafficPolicy` in
/// validation.go).
pub(super) fn check(policy: Option<&istio::TrafficPolicy>, path: &Path<'_>, findings: &mut Findings<'_>) {
    if policy.is_some() {
        findings.not_served(path, "endpoints are chosen by least requests, without limits, ejection or TLS");
    }
}
