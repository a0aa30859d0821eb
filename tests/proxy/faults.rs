//! Failures on purpose.

use crate::gateway::{Gateway, routes, service};
use harness::http::{backend::Backend, client::get};
use std::time::{Duration, Instant};

fn gateway(fault: &str, backend: &Backend) -> Gateway {
    let rule = format!(
        "  - {{fault: {fault}, headers: {{response: {{set: {{x-rule: it}}}}}}, \
         route: [{{destination: {{host: backend}}}}]}}"
    );
    Gateway::start(&(routes(&rule) + &service("backend", &[backend.address()])))
}

#[test]
fn an_aborted_request_reaches_nobody() {
    let backend = Backend::saying("here");
    let gateway = gateway("{abort: {httpStatus: 418, percentage: {value: 100}}}", &backend);
    let mut client = gateway.connect();
    for request in [get("a", "/"), "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc".to_owned()] {
        let response = client.exchange(request);
        assert_eq!((response.status(), response.text()), (418, "fault filter abort"));
        assert_eq!((response.field("content-type"), response.field("x-rule")), (Some("text/plain"), Some("it")));
    }
    assert_eq!(backend.requests().len(), 0);
    assert_eq!(gateway.metric("istio_requests_total", &["response_flags=\"FI\"", "response_code=\"418\""]), 2.);
}

#[test]
fn grpc_callers_get_a_grpc_status() {
    let backend = Backend::saying("here");
    let gateway = gateway("{abort: {grpcStatus: RESOURCE_EXHAUSTED, percentage: {value: 100}}}", &backend);
    let mut client = gateway.connect();
    let response = client.exchange("POST / HTTP/1.1\r\nhost: a\r\ncontent-type: application/grpc\r\n\r\n");
    assert_eq!((response.status(), response.field("grpc-status")), (200, Some("8")));
    assert_eq!(response.field("grpc-message"), Some("fault filter abort"));
    let response = client.exchange(get("a", "/"));
    assert_eq!((response.status(), response.text()), (200, "fault filter abort"));
}

#[test]
fn a_delayed_request_is_served_later() {
    let backend = Backend::saying("here");
    let gateway = gateway("{delay: {fixedDelay: 0.2s, percentage: {value: 100}}}", &backend);
    let started = Instant::now();
    assert_eq!(gateway.connect().exchange(get("a", "/")).text(), "here");
    assert!(started.elapsed() >= Duration::from_millis(200));
    assert_eq!(gateway.metric("istio_requests_total", &["response_flags=\"DI\""]), 1.);
}

#[test]
fn a_delay_comes_before_an_abort() {
    let backend = Backend::saying("here");
    let both =
        "{delay: {fixedDelay: 0.1s, percentage: {value: 100}}, abort: {httpStatus: 503, percentage: {value: 100}}}";
    let gateway = gateway(both, &backend);
    let started = Instant::now();
    assert_eq!(gateway.connect().exchange(get("a", "/")).status(), 503);
    assert!(started.elapsed() >= Duration::from_millis(100));
    assert_eq!(gateway.metric("istio_requests_total", &["response_flags=\"DI,FI\""]), 1.);
}

#[test]
fn a_share_is_taken() {
    const REQUESTS: usize = 2000;
    let backend = Backend::saying("here");
    let gateway = gateway("{abort: {httpStatus: 503, percentage: {value: 25}}}", &backend);
    let mut client = gateway.connect();
    let aborted = (0..REQUESTS).filter(|_| client.exchange(get("a", "/")).status() == 503).count();
    // Nine standard deviations.
    assert!(aborted.abs_diff(REQUESTS / 4) < 175, "{aborted}");
    assert_eq!(backend.requests().len(), REQUESTS - aborted);
}

/// A delay is no part of the time a request may take, and what it is served with is of its end.
#[test]
fn a_delay_does_not_count_as_time_of_the_request() {
    let (before, after) = (Backend::saying("before"), Backend::saying("after"));
    let rule = "  - {timeout: 0.5s, fault: {delay: {fixedDelay: 1s, percentage: {value: 100}}}, \
                route: [{destination: {host: backend}}]}";
    let mut gateway = Gateway::start(&(routes(rule) + &service("backend", &[before.address()])));
    let mut client = gateway.connect();
    client.send(get("a", "/"));
    assert!(client.is_silent_for(Duration::from_millis(100)), "nothing yet");
    gateway.apply(&service("backend", &[after.address()]));
    assert_eq!(client.response().text(), "after");
}
