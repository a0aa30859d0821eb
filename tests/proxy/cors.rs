//! Cross-origin requests.

use crate::gateway::{Gateway, routes, service};
use harness::http::{backend::Backend, message::Message};

const PREFLIGHT: &str = "access-control-request-method: PUT\r\n";

fn gateway(more: &str, backend: &Backend) -> Gateway {
    let rule = format!(
        "  - {{corsPolicy: {{allowOrigins: [{{exact: 'http://me'}}], allowMethods: [PUT], maxAge: 60s{more}}}, \
         headers: {{response: {{set: {{x-rule: it}}}}}}, route: [{{destination: {{host: backend}}}}]}}"
    );
    Gateway::start(&(routes(&rule) + &service("backend", &[backend.address()])))
}

fn ask(gateway: &Gateway, method: &str, origin: &str, fields: &str) -> Message {
    gateway.connect().exchange(format!("{method} / HTTP/1.1\r\nhost: a\r\norigin: {origin}\r\n{fields}\r\n"))
}

#[test]
fn a_preflight_is_answered_by_the_gateway() {
    let backend = Backend::saying("here");
    let gateway = gateway("", &backend);
    let answer = ask(&gateway, "OPTIONS", "http://me", PREFLIGHT);
    assert_eq!((answer.status(), answer.text()), (200, ""));
    assert_eq!(answer.field("access-control-allow-origin"), Some("http://me"));
    assert_eq!(answer.field("access-control-allow-methods"), Some("PUT"));
    assert_eq!(answer.field("access-control-max-age"), Some("60"));
    assert_eq!((answer.field("x-rule"), answer.field("server")), (None, Some("istio-envoy")));
    assert_eq!(backend.requests().len(), 0);

    let other = ask(&gateway, "OPTIONS", "http://you", PREFLIGHT);
    assert_eq!((other.text(), other.field("access-control-allow-origin")), ("here", None));
}

#[test]
fn a_preflight_of_another_origin_is_not_forwarded_if_the_rule_says_so() {
    let backend = Backend::saying("here");
    let gateway = gateway(", unmatchedPreflights: IGNORE", &backend);
    let answer = ask(&gateway, "OPTIONS", "http://you", PREFLIGHT);
    assert_eq!((answer.status(), answer.text()), (200, ""));
    assert_eq!(answer.field("access-control-allow-origin"), None);
    assert_eq!(backend.requests().len(), 0);
}

#[test]
fn answers_name_the_origin() {
    let backend =
        Backend::start(|exchange| exchange.respond("200 OK", &[("access-control-allow-origin", "*")], b"here"));
    let gateway = gateway(", allowCredentials: true, exposeHeaders: [x-a]", &backend);
    let answer = ask(&gateway, "GET", "http://me", "");
    assert_eq!((answer.text(), answer.field("x-rule")), ("here", Some("it")));
    assert_eq!(answer.values("access-control-allow-origin"), ["http://me"]);
    assert_eq!(answer.field("access-control-allow-credentials"), Some("true"));
    assert_eq!(answer.field("access-control-expose-headers"), Some("x-a"));

    let other = ask(&gateway, "GET", "http://you", "");
    assert_eq!((other.text(), other.values("access-control-allow-origin")), ("here", vec!["*"]));
    assert_eq!(other.field("access-control-allow-credentials"), None);
}

#[test]
fn answers_of_the_gateway_name_the_origin_too() {
    let backend = Backend::start(|_| Ok(harness::http::backend::Then::Close));
    let gateway = gateway("", &backend);
    let answer = ask(&gateway, "POST", "http://me", "");
    assert_eq!((answer.status(), answer.field("access-control-allow-origin")), (503, Some("http://me")));
}
