//! WebSocket on one stream (RFC 8441). The endpoint is asked in HTTP/1.1, so that the handshake of that is ours.

use super::late_end::LateEnd;
use crate::{
    message::forwarded::SERVER_NAME,
    proxy::{
        body::ResponseBody,
        client::Client,
        websocket::{ACCEPT, Agreement, KEY},
    },
};
use bytes::Bytes;
use http::{
    Method, Request, Response, StatusCode,
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

/// For the endpoint to close the WebSocket that its client has closed.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// A stream that is to carry another protocol.
#[derive(Debug)]
pub(super) struct Connect {
    /// Its bytes, once the client has its answer.
    bytes: OnUpgrade,
}

impl Connect {
    /// Makes an extended CONNECT the request for an upgrade that it stands for. `None` for every other request.
    pub(super) fn of(request: &mut Request<Incoming>) -> Option<Self> {
        if request.method() != Method::CONNECT || request.extensions().get::<Protocol>().is_none() {
            return None;
        }
        let bytes = upgrade::on(&mut *request);
        *request.method_mut() = Method::GET;
        let (key, agreement) = Agreement::draw();
        request.headers_mut().insert(KEY, key);
        request.extensions_mut().insert(agreement);
        Some(Self { bytes })
    }

    /// The answer to the CONNECT, where `response` is that to the upgrade. A tunnel begins with it if the endpoint has
    /// agreed to one. An answer that would look like an agreement, and is none, becomes another.
    pub(super) fn answer(self, stream: &Rc<Client>, mut response: Response<ResponseBody>) -> Response<ResponseBody> {
        let status = response.status();
        let Some(tunnel) = stream.tunnel.take().filter(|_| status == StatusCode::SWITCHING_PROTOCOLS) else {
            if status.is_success() {
                // Of our own: an endpoint's has not come so far.
                response = Response::new(ResponseBody::Empty);
                *response.status_mut() = StatusCode::NOT_IMPLEMENTED;
                response.headers_mut().insert(SERVER, SERVER_NAME);
            }
            return response;
        };
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
                let patience = (!tunnel.knows_half_close).then_some(LAST_WORDS);
                let bytes = LateEnd::new(TokioIo::new(bytes), Rc::clone(activity), patience);
                tunnel.run(bytes, Bytes::new(), stream.worker.lane(), activity).await;
            }
        });
        response
    }
}
