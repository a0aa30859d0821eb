//! Rules that no request reaches.

use super::findings::{Findings, Path};
use crate::istio::virtual_service as istio;

/// Warns about rules after a rule that takes everything (`analyzeUnreachableHTTPRules` in validation.go).
pub(super) fn check(spec: &istio::VirtualService, findings: &mut Findings<'_>) {
    let Some(last) = spec.http.iter().position(|route| route.matches.is_empty()) else { return };
    for index in last + 1..spec.http.len() {
        let path = Path::SPEC;
        let message = format!("is never reached: rule {last} before it has no match and takes every request");
        findings.suspicious(&path.field("http").index(index), message);
    }
}
