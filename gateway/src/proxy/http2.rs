//! HTTP/2 on a client's connection: its limits, its streams, its end.

mod answer;
mod late_end;
mod paced;
mod premature;
mod tasks;
mod websocket;

use super::{
    activity::{ClientSocket, Order},
    client::Client,
    complaints::NoHttp,
    exchange,
    transport::Transport,
};
use answer::Answer;
use h2::Reason;
use http::{Request, Response};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::TokioIo;
use paced::Paced;
use std::{
    convert::Infallible,
    error::Error as _,
    future::{Future as _, poll_fn},
    pin::{Pin, pin},
    rc::Rc,
    task::Poll,
    time::Duration,
};
use tasks::Tasks;
use tokio::{
    task::yield_now,
    time::{Sleep, sleep},
};
use websocket::Connect;

/// Requests at once on one connection: what Envoy recommends at an edge, and the least that RFC 9113 §6.5.2 recommends.
const STREAMS: u32 = 100;

/// Of a request's body that may wait for its endpoint; a faster client waits. Envoy recommends 64 KiB for one stream and
/// 1 MiB for a connection; four times as much for one keeps a link of 10 Gbit/s and 0.2 ms busy.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// Of an answer that may wait for a client that does not read.
const SEND_BUFFER: usize = 128 * 1024;

/// Streams that a client may open and reset before they have been looked at (CVE-2023-44487).
const RESET_BY_CLIENT: usize = 50;

/// Streams that a client may make us reset (CVE-2025-8671). Envoy ends a connection after as many premature resets.
const RESET_BY_US: usize = 500;

/// Table of header fields that the client may refer to: RFC 9113's initial value, which is also Envoy's.
const HEADER_TABLE: u32 = 4096;

/// A client that is told to leave, has no streams and has taken all that is for it gets so long to confirm it; whoever does not has gone.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Serves the connection of `client` to its end.
pub(super) async fn serve(client: &Rc<Client>, transport: Transport) {
    let activity = &client.activity;
    activity.multiplex();
    let tasks = Tasks::default();
    let paced = Paced::new(ClientSocket::new(transport, Rc::clone(activity)), Rc::clone(client.worker.lane()));
    let resets = paced.resets();
    let service = service_fn(|request: Request<Incoming>| {
        let stream = client.stream();
        tasks.announce(&stream);
        answer(stream, request, resets.are_here())
    });
    let head_bytes = u32::try_from(client.worker.settings().limits.head_bytes).unwrap_or(u32::MAX);
    let connection = http2::Builder::new(tasks.clone())
        .max_concurrent_streams(STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_header_list_size(head_bytes)
        .header_table_size(HEADER_TABLE)
        .max_pending_accept_reset_streams(RESET_BY_CLIENT)
        .max_local_error_reset_streams(RESET_BY_US)
        .enable_connect_protocol()
        .serve_connection(TokioIo::new(paced), service);
    let mut connection = pin!(connection);

    let mut last_words: Option<Pin<Box<Sleep>>> = None;
    let result = poll_fn(|cx| {
        activity.set_waker(cx.waker());
        let is_told = activity.order() != Order::None;
        if activity.answer_expired() {
            // Nothing that could be said would be read.
            return Poll::Ready(Ok(()));
        }
        if is_told {
            // Asked for more than once, it is done once.
            connection.as_mut().graceful_shutdown();
        }
        if let Poll::Ready(result) = connection.as_mut().poll(cx) {
            return Poll::Ready(result);
        }
        if tasks.endings().are_premature() {
            client.worker.http_failed(client, &NoHttp::TakenBack);
            connection.as_mut().graceful_shutdown();
            // Says so, and is over.
            return Poll::Ready(match connection.as_mut().poll(cx) {
                Poll::Ready(result) => result,
                Poll::Pending => Ok(()),
            });
        }
        if !is_told || !activity.has_no_streams() || activity.is_writing() {
            last_words = None;
            return Poll::Pending;
        }
        let over = last_words.get_or_insert_with(|| Box::pin(sleep(LAST_WORDS))).as_mut().poll(cx);
        over.map(|()| Ok(()))
    })
    .await;
    if let Err(error) = result {
        match refused(&error) {
            Some(error) => client.worker.http_failed(client, &NoHttp::Http2(error)),
            None => tracing::debug!(peer = %client.peer, %error, "connection ended"),
        }
    }
}

/// What the client has done that ends the connection, if it has not just gone.
fn refused(error: &hyper::Error) -> Option<&h2::Error> {
    let error = error.source()?.downcast_ref::<h2::Error>()?;
    (error.is_library() && error.reason() != Some(Reason::NO_ERROR)).then_some(error)
}

/// The answer of one stream. What may have been taken back already does not begin at once: hyper looks for that as soon as
/// an answer is not there yet, and nobody has an endpoint's connection opened for a request that is over (CVE-2023-44487).
async fn answer(
    stream: Rc<Client>,
    mut request: Request<Incoming>,
    may_be_over: bool,
) -> Result<Response<Answer>, Infallible> {
    if may_be_over {
        yield_now().await;
    }
    let activity = Rc::clone(&stream.activity);
    // A stream of gRPC may stand still for as long as both sides like.
    if !http_body::Body::is_end_stream(request.body()) && !exchange::is_grpc(&request) {
        stream.worker.watch(&activity);
    }
    let connect = Connect::of(&mut request);
    let mut answer = pin!(exchange::answer(Rc::clone(&stream), request));
    let response = poll_fn(|cx| {
        // The task is the stream's to its end, that of its body too.
        activity.set_waker(cx.waker());
        answer.as_mut().poll(cx)
    })
    .await;
    let response = match connect {
        None => response,
        Some(connect) => connect.answer(&stream, response),
    };
    Ok(response.map(|body| Answer::new(body, activity)))
}
