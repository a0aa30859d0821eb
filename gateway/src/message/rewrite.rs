//! The path that goes upstream.

use crate::{
    model::virtual_service::{PathRewrite, Rewrite},
    routing::route::{Condition, PathCondition},
};
use std::borrow::Cow;

/// The path to send upstream, without the query, for a request whose normalised path is `path` and which met
/// `condition`. Borrows when there is no path rewrite; one that changes nothing is still one (`x-envoy-original-path`).
///
/// `rewrite.uri` replaces the text of the matched prefix, or the whole path after an exact or regex match, with no slash
/// hygiene; `uriRegexRewrite` replaces every occurrence in the path (`finalizePathHeader` in envoy's config_impl.cc).
pub fn rewritten_path<'p>(rewrite: Option<&Rewrite>, condition: &Condition, path: &'p str) -> Cow<'p, str> {
    match rewrite.and_then(|rewrite| rewrite.path.as_ref()) {
        None => Cow::Borrowed(path),
        Some(PathRewrite::Uri(uri)) => match &condition.path {
            // The length of the prefix is cut: with ignoreUriCase the text may differ from it.
            PathCondition::Prefix(prefix) => {
                Cow::Owned(format!("{uri}{}", path.get(prefix.len()..).unwrap_or_default()))
            }
            PathCondition::Exact(_) | PathCondition::Regex(_) => Cow::Owned(uri.to_string()),
        },
        Some(PathRewrite::Regex(regex)) => {
            let bytes = regex.compiled.replace_all(path.as_bytes(), regex.substitution.as_bytes());
            // Both sides of the substitution were text.
            Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
        }
    }
}
