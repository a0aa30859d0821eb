//! Header values: literals, format operators, and what cannot be sent.

use super::{InvalidTemplate, Template, read};
use crate::model::headers::{FormatOperator, HeaderTemplate, TemplatePart};
use http::HeaderValue;

#[track_caller]
fn check_literal(text: &str, expected: &str) {
    let value = HeaderTemplate::Literal(HeaderValue::from_bytes(expected.as_bytes()).unwrap());
    assert_eq!(read(text), Ok(Template { value, objection: None }), "{text:?}");
}

#[track_caller]
fn check_parts(text: &str, parts: &[TemplatePart]) {
    let value = HeaderTemplate::Format(parts.to_vec());
    assert_eq!(read(text), Ok(Template { value, objection: None }), "{text:?}");
}

fn request(name: &str, alternative: Option<&str>, max_length: Option<usize>) -> TemplatePart {
    TemplatePart::Operator(FormatOperator::Request {
        name: name.to_owned(),
        alternative: alternative.map(str::to_owned),
        max_length,
    })
}

#[test]
fn literals() {
    check_literal("", "");
    check_literal("a b", "a b");
    check_literal("tab\there", "tab\there");
    check_literal("100%%", "100%");
    check_literal("%%%%FOO%%", "%%FOO%");
    check_literal("é", "é");
}

#[test]
fn operators() {
    let operator = TemplatePart::Operator;
    check_parts("%HOSTNAME%", &[operator(FormatOperator::Hostname)]);
    check_parts(
        "a%PROTOCOL%%%b",
        &[TemplatePart::Text("a".to_owned()), operator(FormatOperator::Protocol), TemplatePart::Text("%b".to_owned())],
    );
    check_parts("%REQ(X-A)%", &[request("x-a", None, None)]);
    check_parts("%REQ(:path?X-B)%", &[request(":path", Some("x-b"), None)]);
    check_parts(
        "%UPSTREAM_HOST%%START_TIME%",
        &[operator(FormatOperator::UpstreamHost), operator(FormatOperator::StartTime)],
    );
    let limited = read("%REQ(x-a):5%").unwrap();
    assert_eq!(limited.value, HeaderTemplate::Format(vec![request("x-a", None, Some(5))]));
    assert!(limited.objection.is_some());
}

#[test]
fn what_cannot_be_sent() {
    for text in [
        "%",
        "a%",
        "abc%123",
        "%START_TIME%%",
        "%FOO%",
        "%FOO(x)%",
        "%REQ(%",
        "%REQ(a b)%",
        "%REQ()%",
        "%REQ%%",
        "%REQ(x)y%",
        "%REQ(x):y%",
        "a\nb",
        "a\rb",
        "a\0b",
        "\x7f",
    ] {
        assert!(matches!(read(text), Err(InvalidTemplate::Refused(_))), "{text:?}: {:?}", read(text));
    }
    for text in
        ["%TRAILER(x)%", "%DYNAMIC_METADATA(a:b)%", "%DOWNSTREAM_TLS_VERSION%", "%START_TIME(%s)%", "%RESPONSE_FLAGS%"]
    {
        assert!(matches!(read(text), Err(InvalidTemplate::NotServed(_))), "{text:?}: {:?}", read(text));
    }
}
