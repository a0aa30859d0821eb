//! h2spec: conformance of HTTP/2 (RFC 9113) and HPACK (RFC 7541), case by case.

use crate::gateway::{Gateway, everything_to};
use harness::{http::backend::Backend, kubernetes::products};
use regex::Regex;
use std::process::Command;

/// Cases that fail, and why that is right.
const EXCEPTIONS: [(&str, &str); 1] =
    [("Sends invalid connection preface", "the port speaks HTTP/1.1 too, and answers in it: 400, as Envoy does")];

#[test]
fn every_case_of_h2spec_passes() {
    let [h2spec] = products(["h2spec"]);
    // Some cases send a body, some want one that is longer than a small window.
    let backend = Backend::saying("hello, this is the body of an answer");
    let gateway = Gateway::start(&everything_to(backend.address()));
    let address = gateway.address();
    let output = Command::new(h2spec.join("h2spec"))
        .args(["--host", &address.ip().to_string(), "--port", &address.port().to_string(), "--timeout", "5"])
        .output()
        .expect("h2spec runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let total = Regex::new(r"(\d+) tests, (\d+) passed, (\d+) skipped, (\d+) failed").expect("a pattern");
    let total = total.captures(&text).unwrap_or_else(|| panic!("{text}"));
    let number = |index: usize| total[index].parse::<usize>().expect("a number");
    assert!(number(1) >= 140, "{text}");
    // Failed cases stand below this, each marked.
    let failed: Vec<&str> =
        text.split("Failures:").nth(1).unwrap_or_default().lines().filter(|l| l.contains('×')).collect();
    let unknown = |line: &&&str| !EXCEPTIONS.iter().any(|(case, _)| line.contains(case));
    let unknown: Vec<_> = failed.iter().filter(unknown).collect();
    assert!(unknown.is_empty(), "{unknown:#?}\n{text}");
    assert_eq!(number(4), EXCEPTIONS.len(), "{text}");
}
