//! HTTP/2: clients that speak it, backends that speak it, and HTTP/1 on the other side.

mod backends;
mod clients;
mod frames;
mod grpc;
mod malformed;
mod malformed_answers;
mod resets;
mod websocket_backends;
mod websockets;
mod windows;

use harness::objects::routes;
use std::net::SocketAddr;

/// A Service `name` whose port 80 is called `port`, with its endpoints.
pub(crate) fn service_called(name: &str, port: &str, addresses: &[SocketAddr]) -> String {
    harness::objects::service(name, addresses)
        .replace("ports: [{port: 80, name: http}]", &format!("ports: [{{port: 80, name: {port}}}]"))
        .replace("ports: [{name: http, port:", &format!("ports: [{{name: {port}, port:"))
}

/// One route to Service `backend` at `addresses`, which speak HTTP/2, with `more` in the rule.
pub(crate) fn http2_to(addresses: &[SocketAddr], more: &str) -> String {
    routes(&format!("  - route: [{{destination: {{host: backend}}}}]{more}"))
        + &service_called("backend", "http2-web", addresses)
}
