//! Decoding of a spec that keeps count of what it did not understand.

use super::mapping::Mapping;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// A spec, and the fields of the input that its schema does not have.
#[derive(Debug)]
pub struct Decoded<T> {
    pub spec: T,
    /// Paths such as `spec.http[0].nonsense`.
    pub unknown: Vec<String>,
}

/// A value of a type that the schema does not allow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct WrongType {
    /// `spec.http[0].timeout`
    pub path: String,
    /// What is there and what was expected.
    pub message: String,
}

/// Reads `value`, found at `root` in its object, as `T`.
///
/// # Errors
/// The first value whose type the schema does not allow.
pub fn decode<T: DeserializeOwned>(value: &Value, root: &str) -> Result<Decoded<T>, WrongType> {
    let mut unknown = Vec::new();
    let mut track = serde_path_to_error::Track::new();
    let deserializer = serde_path_to_error::Deserializer::new(Mapping(value), &mut track);
    let decoded = serde_ignored::deserialize(deserializer, |path| {
        let mut text = root.to_owned();
        push_ignored(&path, &mut text);
        unknown.push(text);
    });
    match decoded {
        Ok(spec) => Ok(Decoded { spec, unknown }),
        Err(error) => Err(WrongType { path: join(root, &track.path()), message: error.to_string() }),
    }
}

fn join(root: &str, path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let mut text = root.to_owned();
    for segment in path {
        match segment {
            Segment::Seq { index } => text.push_str(&format!("[{index}]")),
            Segment::Map { key } | Segment::Enum { variant: key } => {
                text.push('.');
                text.push_str(key);
            }
            Segment::Unknown => text.push_str(".?"),
        }
    }
    text
}

fn push_ignored(path: &serde_ignored::Path<'_>, text: &mut String) {
    use serde_ignored::Path;
    match path {
        Path::Root => {}
        Path::Seq { parent, index } => {
            push_ignored(parent, text);
            text.push_str(&format!("[{index}]"));
        }
        Path::Map { parent, key } => {
            push_ignored(parent, text);
            text.push('.');
            text.push_str(key);
        }
        Path::Some { parent } | Path::NewtypeStruct { parent } | Path::NewtypeVariant { parent } => {
            push_ignored(parent, text);
        }
    }
}
