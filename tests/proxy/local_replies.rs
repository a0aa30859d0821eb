//! Answers the gateway gives itself: the table in Istio's own behaviour, line by line.

use crate::gateway::{Gateway, everything_to, routes, service};
use harness::http::{backend::Backend, client::get};

#[test]
fn nothing_matches() {
    let gateway = Gateway::start(&routes("  - match: [{uri: {prefix: /x}}]\n    redirect: {uri: /y}"));
    let response = gateway.connect().exchange(get("a", "/"));
    assert_eq!(response.status(), 404);
    assert_eq!(response.field("content-length"), Some("0"));
    assert_eq!(response.field("content-type"), None);
    assert_eq!(response.field("server"), Some("istio-envoy"));
    assert!(response.field("date").is_some());
    assert_eq!(gateway.metric("istio_requests_total", &["response_flags=\"NR\"", "response_code=\"404\""]), 1.);
}

#[test]
fn a_cluster_without_endpoints() {
    let gateway = Gateway::start(&(routes("  - route: [{destination: {host: backend}}]") + &service("backend", &[])));
    let response = gateway.connect().exchange(get("a", "/"));
    assert_eq!((response.status(), response.text()), (503, "no healthy upstream"));
    assert_eq!(response.field("content-type"), Some("text/plain"));
    assert_eq!(gateway.metric("istio_requests_total", &["response_flags=\"UH\""]), 1.);
}

#[test]
fn a_cluster_that_does_not_exist() {
    let gateway = Gateway::start(&routes("  - route: [{destination: {host: nowhere}}]"));
    let response = gateway.connect().exchange(get("a", "/"));
    assert_eq!((response.status(), response.text()), (503, ""));
    assert_eq!(gateway.metric("istio_requests_total", &["response_flags=\"NC\""]), 1.);
}

#[test]
fn redirects_and_direct_responses() {
    let gateway = Gateway::start(&routes(
        "  - match: [{uri: {prefix: /old}}]
    redirect: {uri: /new, authority: b.example, redirectCode: 308}
  - match: [{uri: {prefix: /teapot}}]
    headers: {response: {set: {x-kind: teapot}}}
    directResponse: {status: 418, body: {string: short and stout}}
  - match: [{uri: {prefix: /made}}]
    directResponse: {status: 201}",
    ));
    let mut client = gateway.connect();
    let response = client.exchange(get("a", "/old?x=1"));
    assert_eq!(response.status(), 308);
    assert_eq!(response.field("location"), Some("http://b.example/new?x=1"));
    assert_eq!(response.text(), "");

    let response = client.exchange(get("a", "/teapot"));
    assert_eq!((response.status(), response.text()), (418, "short and stout"));
    assert_eq!(response.field("content-type"), Some("text/plain"));
    assert_eq!(response.field("x-kind"), Some("teapot"), "response operations act on local answers too");

    let response = client.exchange(get("a:81", "/made?x"));
    assert_eq!(response.status(), 201);
    assert_eq!(response.field("location"), Some("http://a:81/made?x"));

    client.send("HEAD /teapot HTTP/1.1\r\nhost: a\r\n\r\n");
    let response = client.response_to_head();
    assert_eq!(response.field("content-length"), Some("15"), "of the body that HEAD does not get");
    assert_eq!(client.exchange(get("a", "/nowhere")).status(), 404, "and the connection is in step");
}

#[test]
fn route_operations_act_on_failures() {
    let gateway = Gateway::start(&routes(
        "  - headers: {response: {set: {x-route: mine, server: me}}}
    route: [{destination: {host: nowhere}}]",
    ));
    let response = gateway.connect().exchange(get("a", "/"));
    assert_eq!(response.status(), 503);
    assert_eq!(response.field("x-route"), Some("mine"));
    assert_eq!(response.field("server"), Some("istio-envoy"), "which Istio overwrites last");
}

#[test]
fn grpc_callers_get_a_grpc_status() {
    let gateway = Gateway::start(
        &(routes(
            "  - match: [{uri: {prefix: /empty}}]
    route: [{destination: {host: backend}}]
  - match: [{uri: {prefix: /old}}]
    redirect: {uri: /new}",
        ) + &service("backend", &[])),
    );
    let mut client = gateway.connect();
    let mut call = |target: &str| {
        client.exchange(format!(
            "POST {target} HTTP/1.1\r\nhost: a\r\ncontent-type: application/grpc+proto\r\ncontent-length: 0\r\n\r\n"
        ))
    };
    let response = call("/empty");
    assert_eq!(response.status(), 200);
    assert_eq!(response.field("content-type"), Some("application/grpc"));
    assert_eq!(response.field("grpc-status"), Some("14"));
    assert_eq!(response.field("grpc-message"), Some("no healthy upstream"));
    assert_eq!(response.text(), "");
    assert_eq!(call("/nothing").field("grpc-status"), Some("12"));
    let redirect = call("/old");
    assert_eq!((redirect.status(), redirect.field("grpc-status")), (200, Some("2")));
    assert_eq!(redirect.field("location"), Some("http://a/new"));
}

#[test]
fn a_listener_that_goes_takes_its_connections_along() {
    let backend = Backend::saying("");
    let yaml = everything_to(backend.address());
    let mut gateway = Gateway::start(&yaml);
    let mut client = gateway.connect();
    assert_eq!(client.exchange(get("a", "/")).status(), 200);
    let only_gateway = yaml.split("---").next().expect("the Gateway comes first").to_owned();
    gateway.delete(&only_gateway);
    let response = client.exchange(get("a", "/"));
    assert_eq!(response.status(), 404);
    assert!(client.is_closed());
    // A connection that was still in the queue of the listening socket is reset; the next one is refused.
    harness::wait::until("the port is closed", std::time::Duration::from_secs(5), || {
        let error = std::net::TcpStream::connect(gateway.address()).err()?;
        (error.kind() == std::io::ErrorKind::ConnectionRefused).then_some(())
    });
    gateway.apply(&only_gateway);
    harness::wait::until("the port is open again", std::time::Duration::from_secs(5), || {
        std::net::TcpStream::connect(gateway.address()).ok()
    });
    assert_eq!(gateway.connect().exchange(get("a", "/")).status(), 200);
}
