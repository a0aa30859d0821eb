//! Answers the gateway gives itself, as Envoy under Istio gives them.

use super::{body::ResponseBody, outcome::Outcome, record::Record};
use crate::{message::forwarded::SERVER_NAME, telemetry::requests::RequestProtocol};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode,
    header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, SERVER},
};
use std::fmt::Write as _;

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// An answer of ours, before it is put into HTTP.
#[derive(Debug)]
pub(super) struct LocalReply {
    pub(super) status: StatusCode,
    pub(super) outcome: Outcome,
    pub(super) body: Bytes,
    /// Fields besides those every answer has.
    pub(super) headers: HeaderMap,
    /// What gRPC callers read; translated from `status` where it is `None`.
    pub(super) grpc_status: Option<u8>,
}

impl LocalReply {
    pub(super) fn new(status: StatusCode, outcome: Outcome) -> Self {
        Self { status, outcome, body: Bytes::new(), headers: HeaderMap::new(), grpc_status: None }
    }

    pub(super) fn with_text(status: StatusCode, outcome: Outcome, text: &'static str) -> Self {
        Self { body: Bytes::from_static(text.as_bytes()), ..Self::new(status, outcome) }
    }

    /// 504, when a time limit has passed.
    pub(super) fn timed_out(outcome: Outcome) -> Self {
        Self::with_text(StatusCode::GATEWAY_TIMEOUT, outcome, "upstream request timeout")
    }

    /// 503, for a cluster without endpoints.
    pub(super) fn no_endpoint() -> Self {
        Self::with_text(StatusCode::SERVICE_UNAVAILABLE, Outcome::NO_ENDPOINT, "no healthy upstream")
    }

    /// 503, for a cluster that is as busy as it may be.
    pub(super) fn overflow() -> Self {
        Self::with_text(
            StatusCode::SERVICE_UNAVAILABLE,
            Outcome::OVERFLOW,
            "upstream connect error or disconnect/reset before headers. reset reason: overflow",
        )
        .with_header(HeaderName::from_static("x-envoy-overloaded"), HeaderValue::from_static("true"))
    }

    /// 503, while memory runs out; the connection ends, and what it holds is free.
    pub(super) fn no_memory() -> Self {
        Self::with_text(StatusCode::SERVICE_UNAVAILABLE, Outcome::NO_MEMORY, "overloaded")
            .with_header(HeaderName::from_static("x-envoy-local-overloaded"), HeaderValue::from_static("true"))
            .with_header(CONNECTION, HeaderValue::from_static("close"))
    }

    /// 503, for endpoints that are to be spoken to in TLS.
    pub(super) fn no_tls() -> Self {
        Self::with_text(
            StatusCode::SERVICE_UNAVAILABLE,
            Outcome::NO_TLS,
            "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure, \
             transport failure reason: TLS to endpoints is not served",
        )
    }

    pub(super) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// The response to a request with `method`; `record` is told. gRPC callers read only a grpc-status, so they get the
    /// status translated, in a response without a body (source/common/grpc/common.cc and Envoy's local reply code).
    /// `finish` is the route's last word on the fields.
    pub(super) fn into_response(
        self,
        method: &Method,
        record: &mut Record,
        finish: impl FnOnce(StatusCode, &mut HeaderMap),
    ) -> Response<ResponseBody> {
        let Self { mut status, outcome, mut body, mut headers, grpc_status: said } = self;
        // Whoever gets it may have sent anything behind it (`sendLocalReply` in Envoy's conn_manager_impl.cc).
        let is_last = status == StatusCode::BAD_REQUEST;
        if record.protocol() == RequestProtocol::Grpc {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
            let said = said.map(|said| HeaderValue::from(u16::from(said)));
            headers.insert(GRPC_STATUS, said.unwrap_or_else(|| HeaderValue::from_static(grpc_status(status))));
            if !body.is_empty() {
                headers.extend(grpc_message(&body).map(|message| (GRPC_MESSAGE, message)));
            }
            status = StatusCode::OK;
            body = Bytes::new();
        } else if status == StatusCode::NO_CONTENT {
            // RFC 9110 §8.6: not even the length of a body that is not there.
            body = Bytes::new();
        } else if !(body.is_empty() && record.is_of_stream()) {
            // In HTTP/2 the head says itself that nothing follows.
            headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        }
        finish(status, &mut headers);
        // What the route takes away is given back: Envoy names the type of the body last.
        if !body.is_empty() {
            headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("text/plain"));
        }
        headers.insert(SERVER, SERVER_NAME);
        if is_last {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if *method == Method::HEAD {
            body = Bytes::new();
        }
        record.answered(status, outcome);
        record.sent_body(body.len());
        record.complete();
        let mut response = Response::new(ResponseBody::full(body));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        response
    }
}

/// `Grpc::Utility::httpToGrpcStatus` in Envoy's source/common/grpc/status.cc.
fn grpc_status(status: StatusCode) -> &'static str {
    match status.as_u16() {
        400 => "13",
        401 => "16",
        403 => "7",
        404 => "12",
        429 | 502..=504 => "14",
        _ => "2",
    }
}

/// Printable ASCII but `%` as it is, everything else percent-encoded (gRPC over HTTP/2, "Status-Message").
fn grpc_message(text: &[u8]) -> Option<HeaderValue> {
    let mut escaped = String::with_capacity(text.len());
    for &byte in text {
        if (b' '..=b'~').contains(&byte) && byte != b'%' {
            escaped.push(char::from(byte));
        } else {
            write!(escaped, "%{byte:02X}").ok()?;
        }
    }
    HeaderValue::try_from(escaped).ok()
}
