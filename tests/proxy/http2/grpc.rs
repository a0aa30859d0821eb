//! gRPC from end to end: its calls are streams of HTTP/2, its answers end with trailers.

use super::http2_to;
use crate::gateway::Gateway;
use bytes::Bytes;
use harness::{
    http2::{
        backend::{Exchange, Http2Backend, Manners},
        client::{Begun, Http2Client, read, request},
    },
    objects::routes,
};
use http::HeaderMap;

const FIELDS: [(&str, &str); 2] = [("content-type", "application/grpc"), ("te", "trailers")];

/// A message as gRPC frames it: not compressed, its length, itself.
fn message(text: &str) -> Bytes {
    let length = u32::try_from(text.len()).expect("a short message").to_be_bytes();
    [&[0][..], &length, text.as_bytes()].concat().into()
}

fn status(code: &str) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", code.parse().expect("a value"));
    trailers
}

/// Sends every message back as it comes, and says that all went well.
async fn echo(mut exchange: Exchange) {
    let mut answer = exchange.head(200, &[("content-type", "application/grpc")]);
    while let Some(Ok(data)) = exchange.body.data().await {
        let _released = exchange.body.flow_control().release_capacity(data.len()).is_ok();
        answer.send_data(data, false).expect("an open stream");
    }
    answer.send_trailers(status("0")).expect("an open stream");
}

#[test]
fn a_call_ends_with_its_status() {
    let backend = Http2Backend::start(Manners::default(), echo);
    let gateway = Gateway::start(&http2_to(&[backend.address()], ""));
    let client = Http2Client::connect(gateway.address());
    let answer = client.send(request("POST", "http://a/echo.Echo/Say", &FIELDS), &message("hello"), None);
    let answer = answer.expect("an answer");
    assert_eq!((answer.status(), answer.trailer("grpc-status")), (200, Some("0")));
    assert_eq!(answer.body, message("hello"));
    assert_eq!(backend.only_request().head.headers["te"], "trailers");
    assert_eq!(gateway.metric("istio_requests_total", &["request_protocol=\"grpc\"", "response_code=\"200\""]), 1.0);
}

#[test]
fn both_sides_may_talk_at_once() {
    let backend = Http2Backend::start(Manners::default(), echo);
    let gateway = Gateway::start(&http2_to(&[backend.address()], ""));
    let client = Http2Client::connect(gateway.address());
    let Begun { response, mut upload } = client.begin(request("POST", "http://a/echo.Echo/Chat", &FIELDS));
    let mut stream = client.wait(response).expect("a head before any message").into_body();
    for round in 0..50 {
        let sent = message(&format!("message {round}"));
        upload.send_data(sent.clone(), false).expect("an open stream");
        let mut echoed = Vec::new();
        while echoed.len() < sent.len() {
            let data = client.wait(stream.data()).expect("more").expect("data");
            stream.flow_control().release_capacity(data.len()).expect("an open stream");
            echoed.extend_from_slice(&data);
        }
        assert_eq!(echoed, sent, "round {round}");
    }
    upload.send_data(Bytes::new(), true).expect("an open stream");
    assert!(client.wait(stream.data()).is_none());
    let trailers = client.wait(stream.trailers()).expect("an end in order").expect("trailers");
    assert_eq!(trailers["grpc-status"], "0");
}

#[test]
fn an_error_before_any_message_is_one_head() {
    let backend = Http2Backend::start(Manners::default(), |mut exchange| async move {
        exchange.read_all().await;
        exchange.answer(
            200,
            &[("content-type", "application/grpc"), ("grpc-status", "5"), ("grpc-message", "no")],
            &[],
        );
    });
    let gateway = Gateway::start(&http2_to(&[backend.address()], ""));
    let client = Http2Client::connect(gateway.address());
    let answer =
        client.send(request("POST", "http://a/echo.Echo/Say", &FIELDS), &message("x"), None).expect("an answer");
    assert_eq!(
        (answer.status(), answer.field("grpc-status"), answer.field("grpc-message")),
        (200, Some("5"), Some("no"))
    );
    assert!(answer.body.is_empty() && answer.trailers.is_none());
}

#[test]
fn our_own_errors_are_statuses_of_grpc() {
    let refused = std::net::TcpListener::bind("127.0.0.1:0").expect("bind").local_addr().expect("address");
    let slow = Http2Backend::start(Manners::default(), |mut exchange| async move {
        exchange.read_all().await;
        // Until the gateway resets the stream.
        let _reset = std::future::poll_fn(|cx| exchange.respond.poll_reset(cx)).await.is_ok();
    });
    let objects = routes(
        "  - match: [{uri: {prefix: /none}}]\n    route: [{destination: {host: nobody}}]\n  \
         - match: [{uri: {prefix: /refused}}]\n    route: [{destination: {host: refused}}]\n  \
         - match: [{uri: {prefix: /slow}}]\n    timeout: 0.2s\n    route: [{destination: {host: slow}}]",
    ) + &super::service_called("refused", "grpc", &[refused])
        + &super::service_called("slow", "grpc", &[slow.address()]);
    let gateway = Gateway::start(&objects);
    let client = Http2Client::connect(gateway.address());
    for (path, status) in [("/other", "12"), ("/none", "14"), ("/refused", "14"), ("/slow", "14")] {
        let answer = client.send(request("POST", &format!("http://a{path}"), &FIELDS), &message("x"), None);
        let answer = answer.expect("an answer");
        assert_eq!((answer.status(), answer.field("grpc-status")), (200, Some(status)), "{path}");
        assert_eq!(answer.field("content-type"), Some("application/grpc"));
        assert!(answer.body.is_empty());
    }
}

#[test]
fn a_call_that_stands_still_goes_on() {
    let backend = Http2Backend::start(Manners::default(), echo);
    let gateway = Gateway::with(&http2_to(&[backend.address()], ""), |settings| {
        settings.limits.body_idle_timeout = std::time::Duration::from_millis(50);
    });
    let client = Http2Client::connect(gateway.address());
    let Begun { response, mut upload } = client.begin(request("POST", "http://a/echo.Echo/Chat", &FIELDS));
    // An ordinary upload that stands still as long is over by then.
    let Begun { response: ordinary, upload: _still } = client.begin(request("POST", "http://a/", &[]));
    let ordinary = client.wait(ordinary).map(|head| head.into_body());
    if let Ok(mut body) = ordinary {
        while let Some(Ok(_)) = client.wait(body.data()) {}
    }
    upload.send_data(message("late"), true).expect("an open stream");
    let answer = client.wait(read(response)).expect("an answer");
    assert_eq!((&*answer.body, answer.trailer("grpc-status")), (&*message("late"), Some("0")));
}
