//! The path and authority that go upstream.

use crate::{model::virtual_service::Rewrite, routing::route::Condition};
use std::borrow::Cow;

/// The path to send upstream, without the query, for a request whose normalised path is `path` and which met
/// `condition`. Borrows when there is no path rewrite.
pub fn rewritten_path<'p>(_rewrite: Option<&Rewrite>, _condition: &Condition, path: &'p str) -> Cow<'p, str> {
    Cow::Borrowed(path)
}
