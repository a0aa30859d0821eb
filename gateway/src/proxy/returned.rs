//! An endpoint's response on its way back to the client.

use super::{
    body::{RequestBody, ResponseBody, StreamingBody},
    client::Client,
    fields::ResponseFields,
    load_share::LoadShare,
    outcome::Outcome,
    record::Record,
    timing::Timing,
    tunnel::Tunnel,
    websocket::{ACCEPT, Agreement},
};
use crate::{
    message::{forwarded, hop_by_hop, retry_policy::Reset},
    upstream::carrier::{AnswerBody, Carrier, Switched},
};
use http::{
    HeaderMap, HeaderValue, Response, StatusCode, Version,
    header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE},
    response::Parts,
};
use http_body::Body as _;
use std::{
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

/// Makes `response` the answer. Its body streams, unless all of it is there already.
///
/// # Errors
/// When there is nothing to pass on: the response is framed in a way that HTTP/1.1 does not let us repeat, or it broke
/// off while the client has not seen any of it. `record` comes back for the answer that is given instead.
pub(super) fn pass(
    client: &Client,
    response: Response<AnswerBody>,
    carrier: Carrier<RequestBody>,
    mut record: Record,
    timing: Option<Box<Timing>>,
    load: LoadShare,
    fields: Option<&ResponseFields>,
) -> Result<Response<ResponseBody>, (Record, Reset)> {
    let (mut parts, mut incoming) = response.into_parts();
    if let Some(coding) = parts.headers.get(TRANSFER_ENCODING) {
        // Two framings are an error, as in Envoy (RFC 9112 §6.3).
        if !coding.as_bytes().eq_ignore_ascii_case(b"chunked") || parts.headers.contains_key(CONTENT_LENGTH) {
            return Err((record, Reset::Protocol));
        }
    }
    // RFC 9112 §2.3: whoever passes a message on says which version it speaks itself.
    parts.version = Version::HTTP_11;
    // A small response has come whole with its head: then it needs no state of its own, and the connection is free.
    let mut nobody = Context::from_waker(Waker::noop());
    let first = match carrier.quietly(|| Pin::new(&mut incoming).poll_frame(&mut nobody)) {
        Poll::Ready(Some(Err(_))) => return Err((record, Reset::Terminated)),
        first => first.map(|frame| frame.and_then(Result::ok)),
    };
    // A reason phrase of its own is no part of the answer; Envoy writes the standard one.
    parts.extensions.clear();
    hop_by_hop::remove(&mut parts.headers);
    finish_head(parts.status, &mut parts.headers, &mut record, fields);
    record.answered(parts.status, Outcome::VIA_UPSTREAM);

    let body = match first {
        Poll::Ready(None) => {
            record.complete();
            client.worker.give_back(carrier);
            ResponseBody::Empty
        }
        Poll::Ready(Some(frame)) if incoming.is_end_stream() && frame.is_data() => {
            let bytes = frame.into_data().unwrap_or_default();
            record.sent_body(bytes.len());
            record.complete();
            client.worker.give_back(carrier);
            ResponseBody::full(bytes)
        }
        first => {
            let first = match first {
                Poll::Ready(first) => first,
                Poll::Pending => None,
            };
            let worker = Rc::clone(&client.worker);
            ResponseBody::Streaming(StreamingBody::new(first, incoming, carrier, worker, record, timing, load))
        }
    };
    Ok(Response::from_parts(parts, body))
}

/// Throws `response` away, and keeps its connection if all of it is there already.
pub(super) fn discard(client: &Client, response: Response<AnswerBody>, carrier: Carrier<RequestBody>) {
    let mut incoming = response.into_body();
    let mut nobody = Context::from_waker(Waker::noop());
    let ended = carrier.quietly(|| {
        while !incoming.is_end_stream() {
            match Pin::new(&mut incoming).poll_frame(&mut nobody) {
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(None) => break,
                Poll::Ready(Some(Err(_))) | Poll::Pending => return false,
            }
        }
        true
    });
    if ended {
        client.worker.give_back(carrier);
    }
}

/// The endpoint has agreed to another protocol: hands both sides over to a tunnel, once this answer is written. It is the
/// one of HTTP/1.1 in any case, as in Envoy (`transformUpgradeResponseFromH2toH1` in its source/common/http/utility.cc).
pub(super) fn switch(
    client: &Client,
    mut parts: Parts,
    switched: Switched,
    agreement: &Agreement,
    mut record: Record,
    load: LoadShare,
    fields: Option<&ResponseFields>,
) -> Response<ResponseBody> {
    parts.extensions.clear();
    let protocol = parts.headers.get(UPGRADE).cloned().unwrap_or(HeaderValue::from_static("websocket"));
    hop_by_hop::remove(&mut parts.headers);
    parts.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    parts.headers.insert(UPGRADE, protocol);
    if parts.status != StatusCode::SWITCHING_PROTOCOLS {
        parts.status = StatusCode::SWITCHING_PROTOCOLS;
        parts.headers.remove(CONTENT_LENGTH);
        if let Some(accept) = agreement.accept() {
            parts.headers.insert(ACCEPT, accept);
        }
    }
    finish_head(parts.status, &mut parts.headers, &mut record, fields);
    record.answered(parts.status, Outcome::VIA_UPSTREAM);
    client.tunnel.replace(Some(Box::new(Tunnel::new(switched, record, load))));
    Response::from_parts(parts, ResponseBody::Empty)
}

/// The order is Envoy's: the router notes the time, the route has its say, the connection manager names the server.
fn finish_head(status: StatusCode, headers: &mut HeaderMap, record: &mut Record, fields: Option<&ResponseFields>) {
    let taken = u64::try_from(record.started().elapsed().as_millis()).unwrap_or(u64::MAX);
    forwarded::note_upstream_time(headers, taken);
    if let Some(facts) = record.facts() {
        facts.upstream_service_time = Some(taken);
    }
    if let Some(fields) = fields {
        fields.apply(status, headers);
    }
    headers.insert(http::header::SERVER, forwarded::SERVER_NAME);
}
