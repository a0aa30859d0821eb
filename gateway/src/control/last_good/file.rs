//! The format of the snapshot on disk.
//!
//! ```text
//! node-gateway-snapshot 1 89ab12cd            format, version, CRC-32 of everything after this line
//! {"written":1795360000,"objects":2}
//! {"apiVersion":"networking.istio.io/v1", …}  one object a line
//! {"apiVersion":"v1", …}
//! ```

use super::Saved;
use crate::{ingest::manifest::Manifest, model::object::Kind};
use serde::{Deserialize, Serialize};
use std::{
    str,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

const FORMAT: &str = "node-gateway-snapshot";
const VERSION: &str = "1";

/// Why a file is not used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("it is no snapshot of a node-gateway")]
    Foreign,
    #[error("it has format version {0}, and this gateway reads version {VERSION}")]
    Version(String),
    #[error("its checksum is wrong: it is damaged, or was not written to its end")]
    Checksum,
    #[error("{0}")]
    Content(String),
}

#[derive(Debug, Serialize, Deserialize)]
struct Header {
    /// Seconds since 1970.
    written: u64,
    objects: usize,
}

/// The file for `objects`, each a line of JSON.
pub(super) fn encode(written: SystemTime, objects: &[Arc<str>]) -> Vec<u8> {
    let written = written.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let header = Header { written, objects: objects.len() };
    let header = serde_json::to_string(&header).unwrap_or_default();
    let length = objects.iter().map(|object| object.len() + 1).sum::<usize>() + header.len() + 1;
    let mut body = String::with_capacity(length);
    for line in std::iter::once(&*header).chain(objects.iter().map(|object| &**object)) {
        body.push_str(line);
        body.push('\n');
    }
    let checksum = crc32fast::hash(body.as_bytes());
    [format!("{FORMAT} {VERSION} {checksum:08x}\n").as_bytes(), body.as_bytes()].concat()
}

/// Reads a whole file.
///
/// # Errors
/// Anything but exactly what [`encode`] makes, of objects the gateway reads.
pub(super) fn decode(bytes: &[u8]) -> Result<Saved, Refused> {
    let end = bytes.iter().take(256).position(|&byte| byte == b'\n').ok_or(Refused::Foreign)?;
    let first = str::from_utf8(&bytes[..end]).ok().ok_or(Refused::Foreign)?;
    let (version, checksum) =
        first.strip_prefix(FORMAT).and_then(|rest| rest.strip_prefix(' ')?.split_once(' ')).ok_or(Refused::Foreign)?;
    if version != VERSION {
        return Err(Refused::Version(version.to_owned()));
    }
    let body = &bytes[end + 1..];
    if u32::from_str_radix(checksum, 16) != Ok(crc32fast::hash(body)) {
        return Err(Refused::Checksum);
    }
    let content = |reason: String| Refused::Content(reason);
    let body = str::from_utf8(body).map_err(|error| content(error.to_string()))?;
    let mut lines = body.lines();
    let header: Header = serde_json::from_str(lines.next().unwrap_or_default())
        .map_err(|error| content(format!("its second line cannot be read: {error}")))?;
    let manifests = lines.map(manifest).collect::<Result<Vec<_>, _>>().map_err(content)?;
    if manifests.len() != header.objects {
        return Err(content(format!("it holds {} objects in place of {}", manifests.len(), header.objects)));
    }
    Ok(Saved { written: UNIX_EPOCH + Duration::from_secs(header.written), manifests })
}

fn manifest(line: &str) -> Result<Manifest, String> {
    let value = serde_json::from_str(line).map_err(|error| format!("an object cannot be read: {error}"))?;
    match Manifest::from_value(value, None, "") {
        Ok(Some(manifest)) if Kind::ALL.contains(&manifest.kind()) => Ok(manifest),
        // A Secret among them is not of our writing.
        Ok(_) => Err("it holds an object of a kind the gateway does not read".to_owned()),
        Err(problem) => Err(format!("an object cannot be read: {problem}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OBJECTS: [&str; 2] = [
        r#"{"apiVersion":"v1","kind":"Service","metadata":{"name":"reviews","namespace":"default"},"spec":{"x":"a\nb"}}"#,
        r#"{"apiVersion":"networking.istio.io/v1","kind":"Gateway","metadata":{"name":"g","namespace":"d"},"spec":{}}"#,
    ];

    fn encoded(objects: &[&str]) -> Vec<u8> {
        let objects: Vec<Arc<str>> = objects.iter().map(|&object| object.into()).collect();
        encode(UNIX_EPOCH + Duration::from_secs(1_795_360_000), &objects)
    }

    #[test]
    fn what_was_written_is_read() {
        let saved = decode(&encoded(&OBJECTS)).unwrap();
        assert_eq!(saved.written, UNIX_EPOCH + Duration::from_secs(1_795_360_000));
        let objects: Vec<String> = saved.manifests.iter().map(|manifest| manifest.object.to_string()).collect();
        assert_eq!(objects, OBJECTS);
        assert!(decode(&encoded(&[])).unwrap().manifests.is_empty());
    }

    #[test]
    fn every_cut_and_every_changed_byte_is_noticed() {
        let whole = encoded(&OBJECTS);
        for length in 0..whole.len() {
            assert!(decode(&whole[..length]).is_err(), "cut at {length}");
        }
        for index in 0..whole.len() {
            let mut changed = whole.clone();
            changed[index] ^= 1;
            assert!(decode(&changed).is_err(), "byte {index} changed");
        }
    }

    #[test]
    fn what_is_not_ours_is_said() {
        let reason = |bytes: &[u8]| decode(bytes).unwrap_err().to_string();
        assert_eq!(reason(b"apiVersion: v1\nkind: List\n"), "it is no snapshot of a node-gateway");
        assert_eq!(reason(&[0xff; 1000]), "it is no snapshot of a node-gateway");
        assert!(reason(b"node-gateway-snapshot 2 00000000\n").contains("format version 2"));
        let secret = r#"{"apiVersion":"v1","kind":"Secret","metadata":{"name":"s","namespace":"d"}}"#;
        assert_eq!(reason(&encoded(&[secret])), "it holds an object of a kind the gateway does not read");
        let nameless = r#"{"apiVersion":"v1","kind":"Service","metadata":{}}"#;
        assert!(reason(&encoded(&[nameless])).contains("metadata.name"));
    }
}
