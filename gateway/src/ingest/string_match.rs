//! `StringMatch`: exact, prefix or regex.

use super::{
    findings::{Findings, Path},
    regex_syntax,
};
use crate::{
    istio::common as istio,
    model::string_match::{FullMatch, StringMatch},
};

/// What a condition on a string means.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Condition {
    /// `{}`: there is something, whatever it is.
    Present,
    On(StringMatch),
    /// Refused, and reported: what it is part of cannot be served.
    Broken,
}

/// Reads a condition on a header, a query parameter, the scheme, the method or the authority, where an empty prefix is
/// refused and the regex `*` means presence (`validateStringMatch` in validation.go, `canBeConvertedToPresentMatch` in
/// istio/pilot/pkg/networking/core/route/route.go).
pub(super) fn read(condition: &istio::StringMatch, path: &Path<'_>, findings: &mut Findings<'_>) -> Condition {
    if condition.prefix.as_deref() == Some("") {
        findings.invalid(&path.field("prefix"), "is empty: give a prefix, or {} for any value");
        return Condition::Broken;
    }
    if condition.regex.as_deref() == Some("*") && condition.exact.is_none() && condition.prefix.is_none() {
        findings.invalid(
            &path.field("regex"),
            "\"*\" is no RE2 expression; it is read as any value, for which {} is the form",
        );
        return Condition::Present;
    }
    read_uri(condition, path, findings)
}

/// Reads a condition on the path, where an empty prefix is allowed.
pub(super) fn read_uri(condition: &istio::StringMatch, path: &Path<'_>, findings: &mut Findings<'_>) -> Condition {
    match (&condition.exact, &condition.prefix, &condition.regex) {
        (None, None, None) => Condition::Present,
        (Some(exact), None, None) => Condition::On(StringMatch::Exact(exact.clone())),
        (None, Some(prefix), None) => Condition::On(StringMatch::Prefix(prefix.clone())),
        (None, None, Some(pattern)) => match regex_syntax::compile_full(pattern) {
            Ok(compiled) => Condition::On(StringMatch::Regex(FullMatch { pattern: pattern.clone(), compiled })),
            Err(reason) => {
                findings.invalid(&path.field("regex"), reason);
                Condition::Broken
            }
        },
        _ => {
            findings.schema(path, "has more than one of exact, prefix and regex: keep one");
            Condition::Broken
        }
    }
}
