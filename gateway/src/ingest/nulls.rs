//! JSON nulls in a spec.

use super::findings::Path;
use serde_json::{Map, Value};
use std::borrow::Cow;

/// `value`, found at `path`, without the entries that are null: kube-apiserver prunes them from custom resources
/// (`PruneNonNullableNullsWithoutDefaults` in apiextensions-apiserver), so a file must mean the same. `report` hears of
/// each. A null in a list stays, and is a type error.
pub(super) fn without_nulls<'v>(
    value: &'v Value,
    path: &Path<'_>,
    report: &mut dyn FnMut(&Path<'_>),
) -> Cow<'v, Value> {
    if has_null(value) { Cow::Owned(pruned(value, path, report)) } else { Cow::Borrowed(value) }
}

fn has_null(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.values().any(|v| v.is_null() || has_null(v)),
        Value::Array(list) => list.iter().any(has_null),
        _ => false,
    }
}

fn pruned(value: &Value, path: &Path<'_>, report: &mut dyn FnMut(&Path<'_>)) -> Value {
    match value {
        Value::Object(map) => {
            let mut kept = Map::new();
            for (key, value) in map {
                let path = path.field(key);
                if value.is_null() {
                    report(&path);
                } else {
                    kept.insert(key.clone(), pruned(value, &path, report));
                }
            }
            Value::Object(kept)
        }
        Value::Array(list) => {
            Value::Array(list.iter().enumerate().map(|(i, v)| pruned(v, &path.index(i), report)).collect())
        }
        other => other.clone(),
    }
}
