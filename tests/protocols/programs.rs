//! Clients that people run.

use crate::gateway::{Gateway, everything_to};
use harness::{
    http::backend::Backend,
    http2::backend::Http2Backend,
    objects::{routes, service},
};
use std::process::Command;

fn said(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().expect(program);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{program}: {}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn curl_and_nghttp_are_served() {
    let backend = Backend::saying("hello");
    let gateway = Gateway::start(&everything_to(backend.address()));
    let url = format!("http://{}/", gateway.address());
    let format = ["-sS", "--max-time", "30", "-w", " %{http_version} %{http_code}"];
    assert_eq!(said("curl", &[&format[..], &["--http2-prior-knowledge", &url]].concat()), "hello 2 200");
    // A wish to switch to h2c is forgotten, as by Istio's gateway.
    assert_eq!(said("curl", &[&format[..], &["--http2", &url]].concat()), "hello 1.1 200");
    assert!(said("nghttp", &["--timeout=30", &url]).contains("hello"));
}

#[test]
fn h2load_loses_no_request() {
    let (http1, http2) = (Backend::saying("hello"), Http2Backend::saying("hello"));
    let objects = routes(
        "  - match: [{uri: {prefix: /1}}]\n    route: [{destination: {host: one}}]\n  - route: [{destination: {host: two}}]",
    ) + &service("one", &[http1.address()])
        + &service("two", &[http2.address()]).replace("name: http", "name: http2");
    let gateway = Gateway::start(&objects);
    for path in ["/1", "/2"] {
        let url = format!("http://{}{path}", gateway.address());
        let load = said("h2load", &["-n", "3000", "-c", "4", "-m", "32", &url]);
        assert!(load.contains("3000 succeeded, 0 failed, 0 errored, 0 timeout"), "{load}");
    }
}
