//! A request as it comes in: refused for what it is, or made ready for routing.

use super::{
    client::Client,
    local_reply::LocalReply,
    outcome::Outcome,
    websocket::{Agreement, KEY},
};
use crate::{
    message::{content_length, forwarded, hop_by_hop, path},
    routing::lookup::RequestHead,
    telemetry::access_log::RequestFacts,
};
use http::{
    HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, Version,
    header::{CONNECTION, CONTENT_LENGTH, COOKIE, HOST, TRANSFER_ENCODING, UPGRADE, USER_AGENT},
    uri::PathAndQuery,
};
use hyper::{body::Incoming, ext::Protocol};
use std::{borrow::Cow, net::SocketAddr};

/// A request that routing can look at.
#[derive(Debug)]
pub(super) struct Arrived {
    pub(super) method: Method,
    pub(super) scheme: &'static str,
    /// Normalised path, and query.
    pub(super) target: PathAndQuery,
    pub(super) version: Version,
    /// Always holds exactly one `host`.
    pub(super) headers: HeaderMap,
    pub(super) body: Incoming,
    /// Where the client is, as far as is known; without a port where a proxy has said so.
    pub(super) remote: SocketAddr,
    /// The client asks to switch to WebSocket, if this is said to it.
    pub(super) websocket: Option<Agreement>,
    pub(super) length: BodyLength,
}

/// What the head says of the body's length, and what HTTP/1.1 adds where it says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyLength {
    /// There is no more to say.
    Said,
    /// There is no body, where one is expected.
    Zero,
    /// There is a body, whose length is not known beforehand.
    Open,
}

impl Arrived {
    pub(super) fn authority(&self) -> &str {
        // `receive` has looked: it is text.
        self.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default()
    }

    /// What routing looks at.
    pub(super) fn head(&self) -> RequestHead<'_> {
        RequestHead {
            method: &self.method,
            scheme: self.scheme,
            authority: self.authority(),
            path: self.target.path(),
            query: self.target.query(),
            headers: &self.headers,
        }
    }
}

/// Checks `request` and makes its head what Istio's gateway would make it before routing.
///
/// # Errors
/// The answer to a request that is not to be routed.
pub(super) fn receive(client: &Client, request: Request<Incoming>) -> Result<Arrived, Box<LocalReply>> {
    let refuse = |status, outcome| Box::new(LocalReply::new(status, outcome));
    let (parts, body) = request.into_parts();
    let (method, uri, version, mut headers) = (parts.method, parts.uri, parts.version, parts.headers);

    // The one framing that hyper has left may be the other one for somebody else.
    if client.activity.begin_request(!http_body::Body::is_end_stream(&body)) {
        let reply = LocalReply::with_text(StatusCode::BAD_REQUEST, Outcome::TWO_FRAMINGS, "Bad Request");
        return Err(Box::new(closing(reply)));
    }
    // Envoy finds no route for either: nothing in a VirtualService can name them.
    if method == Method::CONNECT || uri.path() == "*" {
        let reply = LocalReply::new(StatusCode::NOT_FOUND, Outcome::NO_ROUTE);
        return Err(Box::new(if method == Method::CONNECT { closing(reply) } else { reply }));
    }
    // RFC 9113 §11.6: nobody asks with the word that HTTP/2 begins with, and some servers take it for that.
    if method.as_str() == "PRI" {
        return Err(bad_request(Outcome::BAD_REQUEST));
    }
    if version != Version::HTTP_2 && target_length(&uri) > client.worker.settings().limits.target_bytes {
        return Err(refuse(StatusCode::URI_TOO_LONG, Outcome::TARGET_TOO_LONG));
    }
    if headers.get(TRANSFER_ENCODING).is_some_and(|value| !value.as_bytes().eq_ignore_ascii_case(b"chunked")) {
        let (status, outcome) = (StatusCode::NOT_IMPLEMENTED, Outcome::UNKNOWN_TRANSFER_ENCODING);
        let reply = LocalReply::with_text(status, outcome, "Not Implemented");
        return Err(Box::new(closing(reply)));
    }
    let websocket = match parts.extensions.get::<Protocol>() {
        None => wants_websocket(&mut headers, version)?.then(|| Agreement::Switch { key: headers.get(KEY).cloned() }),
        Some(protocol) if is_websocket(protocol.as_str()) => parts.extensions.get().cloned(),
        Some(_) => return Err(refuse(StatusCode::FORBIDDEN, Outcome::UPGRADE_REFUSED)),
    };
    settle_host(&uri, version, &mut headers)?;
    if version == Version::HTTP_2 {
        content_length::settle(&mut headers).map_err(|_no_length| bad_request(Outcome::BAD_REQUEST))?;
        join_cookies(&mut headers);
    }
    let target = normalise(uri, version)?;

    hop_by_hop::remove(&mut headers);
    let sender = forwarded::receive(
        &mut headers,
        &forwarded::Arrival {
            peer: &client.peer_text,
            scheme: client.scheme(),
            certificate: client.tls.as_ref().and_then(|tls| tls.certificate.as_ref()),
            request_id: &request_id(),
            trusted_proxies: client.worker.settings().trusted_proxies,
        },
    );
    let (has_body, has_length) = (!http_body::Body::is_end_stream(&body), headers.contains_key(CONTENT_LENGTH));
    let length = match (has_length, has_body) {
        (true, _) => BodyLength::Said,
        (false, true) => BodyLength::Open,
        (false, false) if expects_body(&method) => BodyLength::Zero,
        (false, false) => BodyLength::Said,
    };
    let remote = sender.address.map_or(client.peer, |address| SocketAddr::new(address, 0));
    Ok(Arrived { method, scheme: sender.scheme, target, version, headers, body, remote, websocket, length })
}

/// Whether a request without a body says so (RFC 9110 §8.6; `requestShouldHaveNoBody` in envoy's
/// source/common/http/header_utility.cc names the others).
fn expects_body(method: &Method) -> bool {
    ![Method::GET, Method::HEAD, Method::DELETE, Method::TRACE, Method::CONNECT].contains(method)
}

/// What the access log will say about `request`, as it came.
pub(super) fn facts(client: &Client, request: &Request<Incoming>) -> RequestFacts {
    let text = |name| request.headers().get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let is_http2 = request.version() == Version::HTTP_2;
    let mut facts = RequestFacts::new(
        request.method().clone(),
        request.uri().path_and_query().map_or_else(|| "-".to_owned(), ToString::to_string),
        request.version(),
        request.uri().authority().filter(|_| is_http2).map(ToString::to_string).or_else(|| text(HOST)),
        text(USER_AGENT),
        client.local,
        client.peer,
    );
    facts.server_name = client.tls.as_ref().and_then(|tls| tls.server_name.clone());
    facts
}

/// HTTP/2 lets a client send a cookie in pieces, which are one field again everywhere else (RFC 9113 §8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let mut pieces = headers.get_all(COOKIE).iter();
    if let (Some(_), Some(_)) = (pieces.next(), pieces.next()) {
        let all: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
        // Legal values, joined by what is legal in a value.
        if let Ok(joined) = HeaderValue::from_bytes(&all.join(&b"; "[..])) {
            headers.insert(COOKIE, joined);
        }
    }
}

/// Bytes of the target as the client wrote it.
fn target_length(uri: &Uri) -> usize {
    let path = uri.path_and_query().map_or(0, |target| target.as_str().len());
    path + uri.authority().map_or(0, |authority| authority.as_str().len() + "http://".len())
}

/// Envoy closes the connection after an answer to something that is no request to be routed.
fn closing(reply: LocalReply) -> LocalReply {
    reply.with_header(CONNECTION, HeaderValue::from_static("close"))
}

/// 400, to what Envoy does not take for a request.
fn bad_request(outcome: Outcome) -> Box<LocalReply> {
    Box::new(closing(LocalReply::new(StatusCode::BAD_REQUEST, outcome)))
}

/// Istio's gateway switches to WebSocket, forgets a wish for h2c, and refuses everything else.
fn wants_websocket(headers: &mut HeaderMap, version: Version) -> Result<bool, Box<LocalReply>> {
    let Some(protocol) = headers.get(UPGRADE) else { return Ok(false) };
    if version != Version::HTTP_11 || !hop_by_hop::connection_has(headers, "upgrade") {
        return Ok(false);
    }
    if is_websocket(protocol) {
        Ok(true)
    } else if protocol.as_bytes().eq_ignore_ascii_case(b"h2c") {
        headers.remove("http2-settings");
        Ok(false)
    } else {
        Err(Box::new(closing(LocalReply::new(StatusCode::FORBIDDEN, Outcome::UPGRADE_REFUSED))))
    }
}

fn is_websocket(protocol: impl AsRef<[u8]>) -> bool {
    protocol.as_ref().eq_ignore_ascii_case(b"websocket")
}

/// Leaves exactly one `host`: that of an absolute target (RFC 9112 §3.2.2), else what the client sent, several joined as
/// Envoy joins them. HTTP/1.0 knows no Host; its requests get an empty one, which only `*` matches.
fn settle_host(uri: &Uri, version: Version, headers: &mut HeaderMap) -> Result<(), Box<LocalReply>> {
    if let Some(authority) = uri.authority() {
        let host = HeaderValue::try_from(authority.as_str()).ok();
        // RFC 9110 §4.2.4: a name and password in it is to be treated as an error.
        let host =
            host.filter(|_| !authority.as_str().contains('@')).ok_or_else(|| bad_request(Outcome::BAD_REQUEST))?;
        headers.insert(HOST, host);
        return Ok(());
    }
    let mut values = headers.get_all(HOST).iter();
    match (values.next(), values.next()) {
        (Some(only), None) => {
            if !is_authority(only) {
                return Err(bad_request(Outcome::BAD_REQUEST));
            }
        }
        (Some(_), Some(_)) => {
            if !headers.get_all(HOST).iter().all(is_authority) {
                return Err(bad_request(Outcome::BAD_REQUEST));
            }
            let all: Vec<&str> = headers.get_all(HOST).iter().filter_map(|value| value.to_str().ok()).collect();
            let joined = HeaderValue::try_from(all.join(",")).ok().ok_or_else(|| bad_request(Outcome::BAD_REQUEST))?;
            headers.insert(HOST, joined);
        }
        (None, _) if version == Version::HTTP_10 => {
            headers.insert(HOST, HeaderValue::from_static(""));
        }
        (None, _) => return Err(bad_request(Outcome::MISSING_HOST)),
    }
    Ok(())
}

/// Whether a Host may say this: Envoy refuses what nghttp2 knows for no authority (`HeaderUtility::authorityIsValid` and
/// `nghttp2_check_authority`; RFC 9112 §3.2), so that no pod has to read what no name and no address can be.
fn is_authority(value: &HeaderValue) -> bool {
    value.as_bytes().iter().all(|byte| byte.is_ascii_alphanumeric() || b"!$%&'()*+,-.:;=@[]_~".contains(byte))
}

/// The target with its path normalised. Most paths are normal already; then nothing is copied.
fn normalise(uri: Uri, version: Version) -> Result<PathAndQuery, Box<LocalReply>> {
    let refuse = || bad_request(Outcome::BAD_PATH);
    let target = uri.into_parts().path_and_query.ok_or_else(refuse)?;
    // `http://a?b` has an empty path, which is `/`; HTTP/2 gives the path alone, and never an empty one (RFC 9113 §8.3.1).
    if version == Version::HTTP_2 && !target.as_str().starts_with('/') {
        return Err(refuse());
    }
    let Cow::Owned(normal) = path::normalise(target.path()).ok().ok_or_else(refuse)? else { return Ok(target) };
    with_path(&normal, target.query()).ok_or_else(refuse)
}

/// `path` and `query` as a request target; `None` when that is not one.
pub(super) fn with_path(path: &str, query: Option<&str>) -> Option<PathAndQuery> {
    match query {
        Some(query) => PathAndQuery::try_from(format!("{path}?{query}")).ok(),
        None => PathAndQuery::try_from(path).ok(),
    }
}

/// A random UUID (RFC 9562, version 4). Envoy replaces whatever a client from outside sent.
fn request_id() -> HeaderValue {
    let mut text = [0u8; uuid::fmt::Hyphenated::LENGTH];
    uuid::Builder::from_u128(fastrand::u128(..))
        .with_variant(uuid::Variant::RFC4122)
        .with_version(uuid::Version::Random)
        .into_uuid()
        .hyphenated()
        .encode_lower(&mut text);
    // Hexadecimal digits and hyphens are legal in a value.
    HeaderValue::from_bytes(&text).unwrap_or_else(|_| HeaderValue::from_static("-"))
}
