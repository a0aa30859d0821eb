//! RFC 9112 §3.2: request targets, and Host.

use super::{
    hold,
    row::{Row, passed, refused},
};

fn line(target: &str, fields: &str) -> String {
    format!("GET {target} HTTP/1.1\r\n{fields}\r\n")
}

#[test]
fn targets_have_four_forms() {
    let good = |rule, target: &str, seen| -> Row { passed(rule, line(target, "host: a\r\n"), seen) };
    hold(&[
        good("9112 §3.2.1 a path", "/a/b", &["GET /a/b", "host: a"]),
        good("9112 §3.2.1 a path and a query", "/a?b=c&d", &["GET /a?b=c&d"]),
        good("9112 §3.2.1 an empty query", "/a?", &["GET /a?"]),
        good("9112 §3.2.1 a query with question marks and slashes", "/a?b?c/d", &["GET /a?b?c/d"]),
        good("9110 §4.1 the query is not touched", "/a?x=%41/../%2e", &["GET /a?x=%41/../%2e"]),
        good("3986 §3.3 empty segments", "//a//b/", &["GET //a//b/"]),
        good("3986 §3.3 parameters of segments", "/a;b=c/d,e", &["GET /a;b=c/d,e"]),
        good("3986 §2.2 reserved characters", "/!$&'()*+,;=:@", &["GET /!$&'()*+,;=:@"]),
        good("3986 §2.3 unreserved characters", "/-._~aZ09", &["GET /-._~aZ09"]),
        good("3986 §2.1 escapes stay escapes", "/%2F%3A%25", &["GET /%2F%3A%25"]),
        good("3986 §6.2.2.3 dot segments are removed before routing", "/a/./b/../c", &["GET /a/c"]),
        good("3986 §6.2.2.2 escapes of unreserved characters are decoded", "/%61%2Eb", &["GET /a.b"]),
        good("9112 §3.2.2 a whole URL", "http://b.test/x?y", &["GET /x?y", "host: b.test"]),
        good("9112 §3.2.2 without a path", "http://b.test", &["GET /", "host: b.test"]),
        good("9112 §3.2.2 with a port", "http://b.test:8080/x", &["GET /x", "host: b.test:8080"]),
        good("9112 §3.2.2 of https", "https://b.test/x", &["GET /x", "host: b.test"]),
        good("9110 §4.2.3 the scheme knows no case", "HTTP://b.test/x", &["GET /x", "host: b.test"]),
        good("9112 §3.2.2 with a query and no path", "http://b.test?y", &["GET /?y", "host: b.test"]),
    ]);
    hold(&[
        refused("9112 §3.2 a relative path", &["400"], line("a", "host: a\r\n")),
        refused("9112 §3.2 a relative path with a slash", &["400"], line("a/b", "host: a\r\n")),
        refused("9112 §3.2 dots", &["400"], line("../a", "host: a\r\n")),
        refused("9112 §3.2 only a query", &["400"], line("?a", "host: a\r\n")),
        refused("9112 §3.2 a control character", &["400"], line("/a\u{1}b", "host: a\r\n")),
        refused("9112 §3.2 DEL", &["400"], line("/a\u{7f}", "host: a\r\n")),
        refused("9112 §3.2 a byte beyond ASCII in the path", &["400"], line("/\u{e4}", "host: a\r\n")),
        refused("9110 §4.2.4 a user in the authority", &["400"], line("http://me@b.test/", "host: a\r\n")),
        refused("9110 §4.2.4 a user and a password", &["400"], line("http://me:pw@b.test/", "host: a\r\n")),
        refused("9110 §4.2.1 an empty host", &["400"], line("http:///x", "host: a\r\n")),
        refused("9110 §17.5 an escaped NUL", &["400"], line("/a%00b", "host: a\r\n")),
        refused(
            "9112 §3.2.3 the authority form with another method",
            &["400"],
            line("b.test:80", "host: b.test:80\r\n"),
        ),
    ]);
}

#[test]
fn requests_that_are_for_the_gateway_alone_find_no_route() {
    let star = "OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n";
    let connect = "CONNECT b.test:80 HTTP/1.1\r\nhost: b.test:80\r\n\r\n";
    hold(&[
        refused("9112 §3.2.4 the asterisk", &["404"], star).open(),
        refused("9112 §3.2.3 CONNECT without a route for it", &["404"], connect),
    ]);
}

#[test]
fn there_is_one_host() {
    let good = |rule, fields: &str, seen| -> Row { passed(rule, line("/", fields), seen) };
    let bad = |rule, fields: &str| -> Row { refused(rule, &["400"], line("/", fields)) };
    hold(&[
        bad("9112 §3.2 none", ""),
        bad("9112 §3.2 none, but other fields", "x-host: a\r\n"),
        good("9110 §7.2 a name", "host: a.test\r\n", &["GET /", "host: a.test"]),
        good("9110 §7.2 a name and a port", "host: a.test:8080\r\n", &["GET /", "host: a.test:8080"]),
        good("9110 §7.2 in every spelling", "HOST: a.test\r\n", &["GET /", "host: a.test"]),
        good("3986 §3.2.2 an address", "host: 127.0.0.1\r\n", &["GET /", "host: 127.0.0.1"]),
        good("3986 §3.2.2 an address of IPv6", "host: [::1]:80\r\n", &["GET /", "host: [::1]:80"]),
        good(
            "9112 §3.2 an absolute target takes its place",
            "host: other\r\nx: 1\r\n",
            &["GET /", "host: b.test", "x: 1"],
        )
        .sending(line("http://b.test/", "host: other\r\nx: 1\r\n")),
        // A MUST of RFC 9112 §3.2 that Envoy does not keep either: the target says which host is meant.
        good("9112 §3.2.2 and makes up for one that is not there", "", &["GET /", "host: b.test"])
            .sending(line("http://b.test/", "")),
        good("9110 §7.2 it is not changed", "host: A.Test\r\n", &["GET /", "host: A.Test"]),
        bad("9112 §3.2 bytes beyond ASCII", "host: \u{e4}.test\r\n"),
        bad("9112 §3.2 a space in it", "host: a b\r\n"),
        bad("9112 §3.2 a tab", "host: a\tb\r\n"),
        bad("9112 §3.2 a slash", "host: a/b\r\n"),
        bad("9112 §3.2 a query", "host: a?b\r\n"),
        bad("9112 §3.2 a fragment", "host: a#b\r\n"),
        bad("9112 §3.2 a quote", "host: \"a\"\r\n"),
        bad("9112 §3.2 a backslash", "host: a\\b\r\n"),
        bad("9112 §3.2 braces", "host: {a}\r\n"),
        bad("9112 §3.2 angle brackets", "host: <a>\r\n"),
        bad("9112 §3.2 one of two that is none", "host: a\r\nhost: b/c\r\n"),
        good("3986 §3.2 an empty one", "host:\r\n", &["GET /", "host: "]),
        bad("9112 §3.2 control characters", "host: a\u{1}\r\n"),
    ]);
    hold(&[
        // Envoy makes one of two, which then finds the routes of no host; here the table has every host.
        good("9112 §3.2 two become one, as Envoy makes them", "host: a\r\nhost: b\r\n", &["GET /", "host: a,b"]),
    ]);
}
