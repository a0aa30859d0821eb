//! The head of a request as HTTP/2 wants it.

use crate::message::hop_by_hop;
use h2::ext::Protocol;
use http::{
    HeaderValue, Method, Request, Uri, Version,
    header::{CONTENT_LENGTH, HOST},
    request::Parts,
    uri::{Authority, Scheme},
};

/// The head with `host` as `:authority`, and without what HTTP/2 does not know (RFC 9113 §8.2.2). A host that is no
/// authority stays what it is. A request for an upgrade, in which the protocol is named, becomes an extended CONNECT (RFC 8441 §4),
/// as in Envoy (`transformUpgradeRequestFromH1toH2` in its source/common/http/utility.cc).
pub(super) fn of(parts: Parts, scheme: &str) -> Request<()> {
    let Parts { mut method, uri, mut headers, mut extensions, .. } = parts;
    // A route may have set some of them.
    hop_by_hop::remove(&mut headers);
    let host = headers.get(HOST).map(HeaderValue::as_bytes).unwrap_or_default();
    let authority = Authority::try_from(host).ok();
    let mut of_target = uri.into_parts();
    let mut request = Request::new(());
    *request.version_mut() = Version::HTTP_11;
    if let (Some(authority), Ok(scheme)) = (authority, Scheme::try_from(scheme)) {
        headers.remove(HOST);
        (of_target.scheme, of_target.authority) = (Some(scheme), Some(authority));
        *request.version_mut() = Version::HTTP_2;
    }
    if let Some(protocol) = extensions.remove::<Protocol>() {
        method = Method::CONNECT;
        headers.remove(CONTENT_LENGTH);
        request.extensions_mut().insert(protocol);
    }
    // A target is there, and it begins with a slash: the parts go together.
    *request.uri_mut() = Uri::from_parts(of_target).unwrap_or_default();
    *request.method_mut() = method;
    *request.headers_mut() = headers;
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(fields: &[(&'static str, &'static str)]) -> Request<()> {
        let mut request = Request::get("/a?b=c").body(()).expect("a request");
        for (name, value) in fields {
            request.headers_mut().append(*name, HeaderValue::from_static(value));
        }
        of(request.into_parts().0, "https")
    }

    #[test]
    fn the_host_is_the_authority() {
        let head = head(&[("host", "a.com:8080"), ("x-a", "1")]);
        assert_eq!(head.uri(), "https://a.com:8080/a?b=c");
        assert_eq!(head.version(), Version::HTTP_2);
        assert!(head.headers().get(HOST).is_none());
        assert_eq!(head.headers()["x-a"], "1");
    }

    #[test]
    fn a_host_that_is_no_authority_stays_a_field() {
        for host in ["", "a b"] {
            let head = head(&[("host", host)]);
            assert_eq!(
                (head.uri(), &head.headers()[HOST]),
                (&Uri::from_static("/a?b=c"), &HeaderValue::from_static(host))
            );
            assert_eq!(head.version(), Version::HTTP_11);
        }
    }

    #[test]
    fn an_upgrade_is_a_connect_with_its_target() {
        let mut request = Request::get("/chat").body(()).expect("a request");
        let fields =
            [("host", "a"), ("connection", "upgrade"), ("upgrade", "websocket"), ("sec-websocket-version", "13")];
        for (name, value) in fields {
            request.headers_mut().append(name, HeaderValue::from_static(value));
        }
        request.extensions_mut().insert(Protocol::from_static("websocket"));
        let head = of(request.into_parts().0, "http");
        assert_eq!((head.method(), head.uri()), (&Method::CONNECT, &Uri::from_static("http://a/chat")));
        assert_eq!(head.extensions().get::<Protocol>().map(Protocol::as_str), Some("websocket"));
        let names: Vec<&str> = head.headers().keys().map(http::HeaderName::as_str).collect();
        assert_eq!(names, ["sec-websocket-version"]);
    }

    #[test]
    fn fields_of_a_connection_stay_behind() {
        let head = head(&[
            ("host", "a"),
            ("connection", "x-b"),
            ("x-b", "1"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("te", "trailers, gzip"),
        ]);
        let names: Vec<&str> = head.headers().keys().map(http::HeaderName::as_str).collect();
        assert_eq!(names, ["te"]);
        assert_eq!(head.headers()["te"], "trailers");
    }
}
