//! WebSocket on one stream (RFC 8441). The endpoint is asked in HTTP/1.1, so that the handshake of that is ours.

use super::late_end::LateEnd;
use crate::{
    message::forwarded::SERVER_NAME,
    proxy::{body::ResponseBody, client::Client},
};
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Method, Request, Response, StatusCode,
    header::{CONTENT_LENGTH, SERVER, UPGRADE},
};
use hyper::{
    body::Incoming,
    ext::Protocol,
    upgrade::{self, OnUpgrade},
};
use hyper_util::rt::TokioIo;
use std::{rc::Rc, time::Duration};
use tokio::task;

const KEY: HeaderName = HeaderName::from_static("sec-websocket-key");
const ACCEPT: HeaderName = HeaderName::from_static("sec-websocket-accept");

/// What is put behind the key to show that it has been understood (RFC 6455 §1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// For the endpoint to close the WebSocket that its client has closed.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// A stream that is to carry another protocol.
#[derive(Debug)]
pub(super) struct Connect {
    /// Its bytes, once the client has its answer.
    bytes: OnUpgrade,
    /// What an endpoint says that has understood the key.
    accept: String,
}

impl Connect {
    /// Makes an extended CONNECT the request for an upgrade that it stands for. `None` for every other request.
    pub(super) fn of(request: &mut Request<Incoming>) -> Option<Self> {
        if request.method() != Method::CONNECT || request.extensions().get::<Protocol>().is_none() {
            return None;
        }
        let bytes = upgrade::on(&mut *request);
        *request.method_mut() = Method::GET;
        let key = BASE64_STANDARD.encode(fastrand::u128(..).to_be_bytes());
        let accept = accept(&key);
        // Base64 is legal in a value.
        request.headers_mut().insert(KEY, HeaderValue::try_from(key).ok()?);
        Some(Self { bytes, accept })
    }

    /// The answer to the CONNECT, where `response` is that to the upgrade. A tunnel begins with it if the endpoint has
    /// agreed to one. An answer that would look like an agreement, and is none, becomes another.
    pub(super) fn answer(self, stream: &Rc<Client>, mut response: Response<ResponseBody>) -> Response<ResponseBody> {
        let status = response.status();
        let instead = |status| {
            let mut response = Response::new(ResponseBody::Empty);
            *response.status_mut() = status;
            response.headers_mut().insert(SERVER, SERVER_NAME);
            response
        };
        let Some(tunnel) = stream.tunnel.take().filter(|_| status == StatusCode::SWITCHING_PROTOCOLS) else {
            return if status.is_success() { instead(StatusCode::NOT_IMPLEMENTED) } else { response };
        };
        if response.headers().get(ACCEPT).is_none_or(|said| said.as_bytes() != self.accept.as_bytes()) {
            return instead(StatusCode::BAD_GATEWAY);
        }
        for of_the_upgrade in [ACCEPT, UPGRADE, CONTENT_LENGTH] {
            response.headers_mut().remove(of_the_upgrade);
        }
        *response.status_mut() = StatusCode::OK;
        // The connection is not idle while there is one: it is the stream's.
        let stream = Rc::clone(stream);
        task::spawn_local(async move {
            if let Ok(bytes) = self.bytes.await {
                let activity = &stream.activity;
                activity.set_stalled(false);
                stream.worker.watch(activity);
                let bytes = LateEnd::new(TokioIo::new(bytes), Rc::clone(activity), LAST_WORDS);
                tunnel.run(bytes, Bytes::new(), stream.worker.lane(), activity).await;
            }
        });
        response
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
}
