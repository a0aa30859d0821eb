//! RFC 9112 §2 and §3: lines, the request line, the protocol's version.

use super::{
    hold,
    row::{Row, get, passed, refused},
};

#[test]
fn messages_are_lines() {
    hold(&[
        passed("9112 §2.1 a request line, field lines, an empty line", get("x-a: 1\r\n"), &["GET /", "x-a: 1"]),
        passed("9112 §2.2 an empty line before the request line is ignored", format!("\r\n{}", get("")), &["GET /"]),
        passed("9112 §2.2 so are several", format!("\r\n\r\n{}", get("")), &["GET /"]),
        passed("9112 §2.2 a bare LF may end a line", "GET /x HTTP/1.1\nhost: a\nx-a: 1\n\n", &["GET /x", "x-a: 1"]),
        passed("9112 §2.2 and only some of them", "GET /x HTTP/1.1\r\nhost: a\nx-a: 1\r\n\r\n", &["GET /x", "x-a: 1"]),
        refused("9112 §2.2 a bare CR in the request line", &["400"], "GET /\rx HTTP/1.1\r\nhost: a\r\n\r\n"),
        refused("9112 §2.2 a bare CR in a field value", &["400"], get("x-a: 1\r2\r\n")),
        refused("9112 §2.2 a bare CR in a field name", &["400"], get("x-\ra: 1\r\n")),
        refused("9112 §2.2 a bare CR at the end of a value", &["400"], get("x-a: 1\r\r\n")),
        refused("9112 §2.2 a bare CR instead of the empty line", &["400"], "GET / HTTP/1.1\r\nhost: a\r\n\rx"),
        refused(
            "9112 §2.2 whitespace before the first field line",
            &["400"],
            "GET / HTTP/1.1\r\n x: 1\r\nhost: a\r\n\r\n",
        ),
        refused("9112 §2.2 a tab before the first field line", &["400"], "GET / HTTP/1.1\r\n\tx: 1\r\nhost: a\r\n\r\n"),
        refused("9112 §2.2 whitespace before the request line", &["400"], " GET / HTTP/1.1\r\nhost: a\r\n\r\n"),
        refused(
            "9110 §2 bytes that are no HTTP",
            &["400"],
            "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\u{fc}\u{3}\u{3}\r\n\r\n",
        ),
        refused("9112 §2.2 NUL in the request line", &["400"], "GET /\0 HTTP/1.1\r\nhost: a\r\n\r\n"),
    ]);
}

#[test]
fn request_lines_have_three_words() {
    hold(&[
        refused("9112 §3 nothing but a method", &["400"], "GET\r\nhost: a\r\n\r\n"),
        refused("9112 §3 no target", &["400"], "GET  HTTP/1.1\r\nhost: a\r\n\r\n"),
        refused("9112 §3 no version: HTTP/0.9 is not spoken", &["400"], "GET /\r\n\r\n"),
        refused("9112 §3 no version, with fields", &["400"], "GET /\r\nhost: a\r\n\r\n"),
        refused("9112 §3 two spaces before the target", &["400"], "GET  / HTTP/1.1\r\nhost: a\r\n\r\n"),
        refused("9112 §3 two spaces before the version", &["400"], "GET /  HTTP/1.1\r\nhost: a\r\n\r\n"),
        refused("9112 §3 a tab for a space", &["400"], "GET\t/ HTTP/1.1\r\nhost: a\r\n\r\n"),
        refused("9112 §3 a tab before the version", &["400"], "GET /\tHTTP/1.1\r\nhost: a\r\n\r\n"),
        refused("9112 §3 a vertical tab for a space", &["400"], "GET\u{b}/ HTTP/1.1\r\nhost: a\r\n\r\n"),
        refused("9112 §3 whitespace after the version", &["400"], "GET / HTTP/1.1 \r\nhost: a\r\n\r\n"),
        refused("9112 §3 a fourth word", &["400"], "GET / HTTP/1.1 x\r\nhost: a\r\n\r\n"),
        refused("9112 §3 a space in the target", &["400"], "GET /a b HTTP/1.1\r\nhost: a\r\n\r\n"),
        refused("9112 §3 an empty method", &["400"], " / HTTP/1.1\r\nhost: a\r\n\r\n"),
        refused("9112 §3.1 a method that is no token", &["400"], "GE(T / HTTP/1.1\r\nhost: a\r\n\r\n"),
        refused("9112 §3.1 a method with a colon", &["400"], "GET: / HTTP/1.1\r\nhost: a\r\n\r\n"),
        refused("9112 §3.1 a method beyond ASCII", &["400"], "G\u{c9}T / HTTP/1.1\r\nhost: a\r\n\r\n"),
    ]);
}

#[test]
fn versions_are_those_of_http_1() {
    let refused =
        |rule, version: &str| -> Row { refused(rule, &["400"], format!("GET / {version}\r\nhost: a\r\n\r\n")) };
    hold(&[
        refused("9112 §2.3 the name is in capitals", "http/1.1"),
        refused("9112 §2.3 all of them", "Http/1.1"),
        refused("9112 §2.3 one digit each", "HTTP/1.10"),
        refused("9112 §2.3 with a dot", "HTTP/11"),
        refused("9112 §2.3 with a minor version", "HTTP/1"),
        refused("9112 §2.3 with a minor version behind the dot", "HTTP/1."),
        refused("9112 §2.3 with a major version", "HTTP/.1"),
        refused("9112 §2.3 with digits", "HTTP/1.x"),
        refused("9112 §2.3 without space", "HTTP/ 1.1"),
        refused("9112 §2.3 of this protocol", "HTTPS/1.1"),
        refused("9112 §2.3 of no other", "ICY/1.1"),
        refused("9110 §2.5 HTTP/0.9", "HTTP/0.9"),
        refused("9110 §2.5 HTTP/2.0 in the framing of HTTP/1", "HTTP/2.0"),
        refused("9110 §2.5 HTTP/3.0", "HTTP/3.0"),
        refused("9112 §2.3 no sign", "HTTP/+1.1"),
        refused("9112 §2.3 no leading zero", "HTTP/01.1"),
    ]);
    // Envoy under Istio answers HTTP/1.0 with 426 (docs/istio-differences.md).
    hold(&[
        passed(
            "9110 §2.5 HTTP/1.0 reaches the origin as 1.1, and ends its connection",
            "GET / HTTP/1.0\r\nhost: a\r\n\r\n",
            &["GET /", "host: a"],
        )
        .closed(),
        passed(
            "9112 §9.3 unless the client wants to keep it",
            "GET / HTTP/1.0\r\nhost: a\r\nconnection: keep-alive\r\n\r\n",
            &["GET /", "-connection"],
        )
        .back(&[&["200", "=ok", "connection: keep-alive"]]),
    ]);
}
