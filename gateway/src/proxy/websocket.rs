//! What an endpoint must say before there is a WebSocket.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

pub(super) const KEY: HeaderName = HeaderName::from_static("sec-websocket-key");
pub(super) const ACCEPT: HeaderName = HeaderName::from_static("sec-websocket-accept");

/// What is put behind the key to show that it has been understood (RFC 6455 §1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// See the module.
#[derive(Clone, Debug)]
pub(super) enum Agreement {
    /// A 101; the key is the client's, which looks at the rest of it.
    Switch,
    /// A 101 with this behind the key, which is ours: a client of HTTP/2 has none (RFC 8441 §5).
    Accept(HeaderValue),
}

impl Agreement {
    /// A new key, and what an endpoint says that has understood it.
    pub(super) fn draw() -> (HeaderValue, Self) {
        let key = BASE64_STANDARD.encode(fastrand::u128(..).to_be_bytes());
        // Base64 is legal in a value.
        let value = |text: String| HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""));
        let accept = value(accept(&key));
        (value(key), Self::Accept(accept))
    }

    /// Whether a 101 with `headers` gives it.
    pub(super) fn is_given(&self, headers: &HeaderMap) -> bool {
        match self {
            Self::Switch => true,
            Self::Accept(accept) => headers.get(ACCEPT) == Some(accept),
        }
    }

    /// Whether an answer with `status`, which is none to an upgrade, would look like one to the client: every 2xx is a tunnel
    /// to one of HTTP/2.
    pub(super) fn is_feigned(&self, status: StatusCode) -> bool {
        matches!(self, Self::Accept(_)) && status.is_success()
    }
}

fn accept(key: &str) -> String {
    BASE64_STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, &[key.as_bytes(), GUID].concat()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_accepted_with_what_the_rfc_says() {
        assert_eq!(accept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn each_key_has_an_answer_of_its_own() {
        let ((key, first), (_, second)) = (Agreement::draw(), Agreement::draw());
        let accept = HeaderValue::try_from(accept(key.to_str().unwrap())).unwrap();
        let headers = HeaderMap::from_iter([(ACCEPT, accept)]);
        assert!(first.is_given(&headers) && !second.is_given(&headers) && !first.is_given(&HeaderMap::new()));
        assert!(Agreement::Switch.is_given(&HeaderMap::new()));
    }
}
