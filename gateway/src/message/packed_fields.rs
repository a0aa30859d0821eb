//! Header fields in one piece of memory.

use http::{HeaderMap, HeaderName, HeaderValue};

/// A copy of header fields that is mostly thrown away unread. It costs one allocation; a [`HeaderMap`] costs several, and
/// counts a reference to every field.
#[derive(Clone, Debug)]
pub struct PackedFields(Vec<u8>);

/// An octet that is in no name, and one that is in no value (RFC 9110 §5.1, §5.5).
const AFTER_NAME: u8 = b':';
const AFTER_VALUE: u8 = b'\n';

impl PackedFields {
    pub fn of(headers: &HeaderMap) -> Self {
        // Few are longer.
        let mut bytes = Vec::with_capacity(64 * headers.len());
        for (name, value) in headers {
            bytes.extend_from_slice(name.as_str().as_bytes());
            bytes.push(AFTER_NAME);
            bytes.extend_from_slice(value.as_bytes());
            bytes.push(AFTER_VALUE);
        }
        Self(bytes)
    }

    /// The same fields, in the same order.
    pub fn unpack(&self) -> HeaderMap {
        let lines = self.0.split(|&byte| byte == AFTER_VALUE);
        let fields = lines.filter_map(|line| {
            let (name, value) = line.split_at_checked(line.iter().position(|&byte| byte == AFTER_NAME)?)?;
            // They have been a name and a value before.
            Some((HeaderName::from_bytes(name).ok()?, HeaderValue::from_bytes(&value[1..]).ok()?))
        });
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name, value);
        }
        headers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unpacked_is_what_was_packed() {
        let mut headers = HeaderMap::new();
        assert_eq!(PackedFields::of(&headers).unpack(), headers);
        for (name, value) in [
            ("host", &b"a.test:80"[..]),
            ("x-empty", b""),
            ("cookie", b"a=b: c"),
            ("cookie", b"\ttabs\tand spaces "),
            ("x-bytes", b"\x80\xff:\xfe"),
            ("accept", b"*/*"),
            ("cookie", b":"),
        ] {
            headers.append(HeaderName::from_static(name), HeaderValue::from_bytes(value).expect("a value"));
        }
        let unpacked = PackedFields::of(&headers).unpack();
        assert_eq!(unpacked, headers);
        assert!(unpacked.iter().eq(&headers), "in the same order");
    }
}
