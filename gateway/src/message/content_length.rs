//! What a `Content-Length` that came by HTTP/2 may say to those who speak HTTP/1.

use http::{HeaderMap, header::CONTENT_LENGTH};

/// A length that is no number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the content-length is empty")]
pub struct NoLength;

/// Leaves one where the same length is said several times, as the codec of HTTP/1 does by itself: two of them are an error to
/// some servers (RFC 9110 §8.6). The codec of HTTP/2 has refused what is not the same number, but takes an empty value for
/// zero.
///
/// # Errors
/// When one of them is empty.
pub fn settle(headers: &mut HeaderMap) -> Result<(), NoLength> {
    let mut all = headers.get_all(CONTENT_LENGTH).iter();
    let Some(first) = all.next() else { return Ok(()) };
    let is_one = all.next().is_none();
    if headers.get_all(CONTENT_LENGTH).iter().any(|length| length.is_empty()) {
        return Err(NoLength);
    }
    if !is_one {
        let first = first.clone();
        headers.insert(CONTENT_LENGTH, first);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn settled(lengths: &[&'static str]) -> Result<Vec<HeaderValue>, NoLength> {
        let mut headers = HeaderMap::new();
        for length in lengths {
            headers.append(CONTENT_LENGTH, HeaderValue::from_static(length));
        }
        settle(&mut headers)?;
        Ok(headers.get_all(CONTENT_LENGTH).iter().cloned().collect())
    }

    #[test]
    fn one_is_left() {
        assert_eq!(settled(&[]), Ok(vec![]));
        assert_eq!(settled(&["4"]), Ok(vec![HeaderValue::from_static("4")]));
        assert_eq!(settled(&["4", "4", "04"]), Ok(vec![HeaderValue::from_static("4")]));
    }

    #[test]
    fn nothing_is_no_length() {
        for lengths in [&[""][..], &["0", ""], &["", "0"]] {
            assert_eq!(settled(lengths), Err(NoLength), "{lengths:?}");
        }
    }
}
