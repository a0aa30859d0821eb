//! The answers to requests that got none from an endpoint, in Envoy's words.

use super::{client::Client, local_reply::LocalReply, outcome::Outcome};
use crate::message::retry_policy::Reset;
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header::CONNECTION};

/// The answer when the last attempt ended with `reset` (`Filter::onUpstreamReset` in source/common/router/router.cc).
pub(super) fn reset(reset: Reset, is_retry: bool) -> LocalReply {
    let (status, outcome) = match reset {
        Reset::ConnectFailed => (StatusCode::SERVICE_UNAVAILABLE, Outcome::CONNECT_FAILED),
        Reset::NoTls(_) => (StatusCode::SERVICE_UNAVAILABLE, Outcome::NO_HANDSHAKE),
        Reset::ConnectTimedOut => (StatusCode::SERVICE_UNAVAILABLE, Outcome::CONNECT_TIMED_OUT),
        Reset::Unused | Reset::Terminated => (StatusCode::SERVICE_UNAVAILABLE, Outcome::TERMINATED),
        Reset::Remote => (StatusCode::SERVICE_UNAVAILABLE, Outcome::REMOTE_RESET),
        Reset::Refused => (StatusCode::SERVICE_UNAVAILABLE, Outcome::REFUSED),
        Reset::Protocol => (StatusCode::BAD_GATEWAY, Outcome::PROTOCOL_ERROR),
        Reset::TryTimedOut => return LocalReply::timed_out(Outcome::TRY_TIMED_OUT),
    };
    let retried = if is_retry { "retried and the latest " } else { "" };
    let text =
        format!("upstream connect error or disconnect/reset before headers. {retried}reset reason: {}", reset.text());
    LocalReply { body: Bytes::from(text), ..LocalReply::new(status, outcome) }
}

/// The answer when the request's own body failed on its way.
pub(super) fn request_body(client: &Client) -> LocalReply {
    let is_stream = client.activity.connection().is_some();
    let reply = if client.activity.body_expired() {
        LocalReply::with_text(StatusCode::REQUEST_TIMEOUT, Outcome::REQUEST_BODY_TIMEOUT, "stream timeout")
    } else if is_stream {
        // Its stream has been reset, so that nobody gets this.
        LocalReply::new(StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST), Outcome::CLIENT_GONE)
    } else {
        LocalReply::new(StatusCode::BAD_REQUEST, Outcome::BAD_REQUEST)
    };
    // Where the next request begins in what the client sends, nobody knows.
    reply.with_header(CONNECTION, HeaderValue::from_static("close"))
}
