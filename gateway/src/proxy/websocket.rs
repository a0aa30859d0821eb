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
    Switch { key: Option<HeaderValue> },
    /// A 101 with this behind the key, which is ours: a client of HTTP/2 has none (RFC 8441 §5).
    Accept(HeaderValue),
}

/// What an endpoint's answer means to a client that has asked for something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// It is what it looks like.
    Answer,
    /// There is a WebSocket.
    Agreed,
    /// It would look like an agreement, and is none.
    Feigned,
}

impl Agreement {
    /// A new key, and what an endpoint says that has understood it.
    pub(super) fn draw() -> (HeaderValue, Self) {
        let key = BASE64_STANDARD.encode(fastrand::u128(..).to_be_bytes());
        let accept = accept(key.as_bytes());
        // Base64 is legal in a value.
        (HeaderValue::try_from(key).unwrap_or_else(|_| HeaderValue::from_static("")), Self::Accept(accept))
    }

    /// What an answer with `status` and `headers` means, which has come by HTTP/1.1 or by HTTP/2. Nobody has asked for a
    /// WebSocket when there is no `agreement` to wait for.
    pub(super) fn meaning(
        agreement: Option<&Self>,
        status: StatusCode,
        headers: &HeaderMap,
        by_http2: bool,
    ) -> Meaning {
        let is_switch = status == StatusCode::SWITCHING_PROTOCOLS;
        match agreement {
            // RFC 8441 §4: as a CONNECT is agreed to.
            Some(_) if by_http2 && status.is_success() => Meaning::Agreed,
            Some(Self::Switch { .. }) if !by_http2 && is_switch => Meaning::Agreed,
            Some(Self::Accept(accept)) if !by_http2 && is_switch && headers.get(ACCEPT) == Some(accept) => {
                Meaning::Agreed
            }
            // Every 2xx is a tunnel to a client of HTTP/2.
            Some(Self::Accept(_)) if status.is_success() => Meaning::Feigned,
            _ if is_switch => Meaning::Feigned,
            _ => Meaning::Answer,
        }
    }

    /// What a client of HTTP/1.1 wants to hear, in whose name the endpoint has agreed without it.
    pub(super) fn accept(&self) -> Option<HeaderValue> {
        match self {
            Self::Switch { key } => key.as_ref().map(|key| accept(key.as_bytes())),
            Self::Accept(_) => None,
        }
    }
}

fn accept(key: &[u8]) -> HeaderValue {
    let accept = BASE64_STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, &[key, GUID].concat()));
    // Base64 is legal in a value.
    HeaderValue::try_from(accept).unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SWITCH: StatusCode = StatusCode::SWITCHING_PROTOCOLS;

    #[test]
    fn a_key_is_accepted_with_what_the_rfc_says() {
        let key = HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ==");
        let agreement = Agreement::Switch { key: Some(key) };
        assert_eq!(agreement.accept().unwrap(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(Agreement::Switch { key: None }.accept(), None);
    }

    #[test]
    fn each_key_has_an_answer_of_its_own() {
        let ((key, first), (_, second)) = (Agreement::draw(), Agreement::draw());
        let headers = HeaderMap::from_iter([(ACCEPT, accept(key.as_bytes()))]);
        let (none, any) = (HeaderMap::new(), Agreement::Switch { key: None });
        for (agreement, headers, meaning) in [
            (&first, &headers, Meaning::Agreed),
            (&second, &headers, Meaning::Feigned),
            (&first, &none, Meaning::Feigned),
            (&any, &none, Meaning::Agreed),
        ] {
            assert_eq!(Agreement::meaning(Some(agreement), SWITCH, headers, false), meaning, "{agreement:?}");
        }
    }

    #[test]
    fn only_an_agreement_looks_like_one() {
        let (none, headers) = (None, HeaderMap::new());
        let switched = Agreement::Switch { key: None };
        let accepted = Agreement::draw().1;
        let (switch, accept) = (Some(&switched), Some(&accepted));
        for (agreement, status, by_http2, meaning) in [
            (none, 101, false, Meaning::Feigned),
            (none, 101, true, Meaning::Feigned),
            (none, 200, true, Meaning::Answer),
            (switch, 200, false, Meaning::Answer),
            (switch, 200, true, Meaning::Agreed),
            (switch, 101, true, Meaning::Feigned),
            (switch, 403, true, Meaning::Answer),
            (accept, 204, false, Meaning::Feigned),
            (accept, 204, true, Meaning::Agreed),
            (accept, 101, true, Meaning::Feigned),
            (accept, 403, false, Meaning::Answer),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let found = Agreement::meaning(agreement, status, &headers, by_http2);
            assert_eq!(found, meaning, "{agreement:?} {status} {by_http2}");
        }
    }
}
