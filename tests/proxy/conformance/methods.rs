//! RFC 9110 §9: methods.

use super::{
    hold,
    row::{Row, passed, refused},
};

#[test]
fn methods_pass_as_they_are() {
    let of =
        |rule, method: &str, seen| -> Row { passed(rule, format!("{method} /x HTTP/1.1\r\nhost: a\r\n\r\n"), seen) };
    hold(&[
        of("9110 §9.3.1 GET", "GET", &["GET /x", "-content-length", "-transfer-encoding"]),
        of(
            "9110 §9.3.3 POST; §8.6 a length where a body would mean something",
            "POST",
            &["POST /x", "content-length: 0"],
        ),
        of("9110 §9.3.4 PUT", "PUT", &["PUT /x", "content-length: 0"]),
        of("9110 §9.3.5 DELETE", "DELETE", &["DELETE /x", "-content-length"]),
        of("9110 §9.3.7 OPTIONS", "OPTIONS", &["OPTIONS /x"]),
        of("9110 §9.3.8 TRACE", "TRACE", &["TRACE /x", "-content-length", "-transfer-encoding"]),
        of("5789 §2 PATCH", "PATCH", &["PATCH /x", "content-length: 0"]),
        of("4918 §9.1 PROPFIND", "PROPFIND", &["PROPFIND /x"]),
        // Envoy refuses methods it does not know (docs/istio-differences.md).
        of("9110 §9.1 methods nobody knows", "BREW", &["BREW /x"]),
        of("9110 §9.1 methods know case", "get", &["get /x"]),
        of("9110 §5.6.2 every token is a method", "M!#$%&'*+-.^_`|~1", &["M!#$%&'*+-.^_`|~1 /x"]),
        of("9110 §9.1 of one letter", "X", &["X /x"]),
        of(
            "9110 §9.1 of fifty letters",
            "ABCDEFGHIJKLMNOPQRSTUVWXYABCDEFGHIJKLMNOPQRSTUVWXY",
            &["ABCDEFGHIJKLMNOPQRSTUVWXYABCDEFGHIJKLMNOPQRSTUVWXY /x"],
        ),
    ]);
    hold(&[
        passed("9110 §9.3.2 HEAD has an answer without a body", "HEAD /x HTTP/1.1\r\nhost: a\r\n\r\n", &["HEAD /x"])
            .back(&[&["200", "content-length: 2", "="]])
            .origin_says("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"),
        passed("9110 §9.3.2 its length is that of the GET", "HEAD /x HTTP/1.1\r\nhost: a\r\n\r\n", &["HEAD /x"])
            .back(&[&["200", "content-length: 1234567", "="]])
            .origin_says("HTTP/1.1 200 OK\r\ncontent-length: 1234567\r\n\r\n"),
        passed("9112 §6.3 chunks that would have been", "HEAD /x HTTP/1.1\r\nhost: a\r\n\r\n", &["HEAD /x"])
            .back(&[&["200", "="]])
            .origin_says("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"),
        passed("9110 §9.3.2 an error too", "HEAD /x HTTP/1.1\r\nhost: a\r\n\r\n", &["HEAD /x"])
            .back(&[&["404", "content-length: 9", "="]])
            .origin_says("HTTP/1.1 404 Not Found\r\ncontent-length: 9\r\n\r\n"),
    ]);
}

#[test]
fn what_http2_begins_with_is_no_method() {
    let of = |rule, sent: &str| refused(rule, &["400", "connection: close"], sent);
    hold(&[
        of("9113 §11.6 PRI", "PRI /x HTTP/1.1\r\nhost: a\r\n\r\n"),
        of("9113 §11.6 with a body", "PRI /x HTTP/1.1\r\nhost: a\r\ncontent-length: 6\r\n\r\nSM\r\n\r\n"),
    ]);
}

#[test]
fn bodies_belong_to_requests_of_every_method() {
    let of = |rule, method: &str, seen| -> Row {
        passed(rule, format!("{method} /x HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc"), seen)
    };
    hold(&[
        of("9110 §9.3.1 of GET", "GET", &["GET /x", "content-length: 3", "=abc"]),
        of("9110 §9.3.3 of POST", "POST", &["POST /x", "content-length: 3", "=abc"]),
        of("9110 §9.3.4 of PUT", "PUT", &["PUT /x", "content-length: 3", "=abc"]),
        of("9110 §9.3.5 of DELETE", "DELETE", &["DELETE /x", "content-length: 3", "=abc"]),
        of("9110 §9.3.7 of OPTIONS", "OPTIONS", &["OPTIONS /x", "content-length: 3", "=abc"]),
        of("5789 §2 of PATCH", "PATCH", &["PATCH /x", "content-length: 3", "=abc"]),
        of("9110 §9.1 of others", "BREW", &["BREW /x", "content-length: 3", "=abc"]),
        of("9110 §9.3.2 of HEAD", "HEAD", &["HEAD /x", "content-length: 3", "=abc"])
            .back(&[&["200", "="]])
            .origin_says("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"),
    ]);
}
