//! RFC 9110 §7.6: what a gateway takes out, adds and leaves alone.

use super::{
    hold,
    row::{Row, answered, get, passed},
};

#[test]
fn fields_for_one_connection_end_here() {
    let of = |rule, fields: &str, seen| -> Row { passed(rule, get(fields), seen) };
    hold(&[
        of("9110 §7.6.1 connection", "connection: keep-alive\r\n", &["GET /", "-connection"]),
        of(
            "9110 §7.6.1 what it names",
            "connection: x-hop\r\nx-hop: 1\r\nx-b: 2\r\n",
            &["GET /", "-connection", "-x-hop", "x-b: 2"],
        ),
        of("9110 §7.6.1 before it", "x-hop: 1\r\nconnection: x-hop\r\n", &["GET /", "-x-hop"]),
        of("9110 §7.6.1 several", "connection: x-1, x-2\r\nx-1: 1\r\nx-2: 2\r\n", &["GET /", "-x-1", "-x-2"]),
        of(
            "9110 §7.6.1 in several lines",
            "connection: x-1\r\nconnection: x-2\r\nx-1: 1\r\nx-2: 2\r\n",
            &["GET /", "-x-1", "-x-2"],
        ),
        of("9110 §7.6.1 in every spelling", "connection: X-Hop\r\nx-hOP: 1\r\n", &["GET /", "-x-hop"]),
        of("9110 §7.6.1 all lines of it", "connection: x-hop\r\nx-hop: 1\r\nx-hop: 2\r\n", &["GET /", "-x-hop"]),
        of(
            "9110 §7.6.1 with whitespace and empty elements",
            "connection: ,\t x-hop ,,\r\nx-hop: 1\r\n",
            &["GET /", "-x-hop"],
        ),
        of("9110 §7.6.1 what is not there", "connection: x-none\r\n", &["GET /", "-x-none"]),
        of("9110 §7.6.1 what is no name", "connection: \"x\", @\r\nx: 1\r\n", &["GET /", "-connection", "x: 1"]),
        of("9110 §7.6.1 keep-alive", "keep-alive: timeout=5\r\n", &["GET /", "-keep-alive"]),
        of("9110 §7.6.1 proxy-connection", "proxy-connection: keep-alive\r\n", &["GET /", "-proxy-connection"]),
        of("9110 §10.1.4 te but for trailers", "te: gzip\r\n", &["GET /", "-te"]),
        of("9110 §10.1.4 te: trailers stays", "te: trailers\r\n", &["GET /", "te: trailers"]),
        of("9110 §10.1.4 alone", "te: gzip, trailers\r\n", &["GET /", "te: trailers"]),
        of("9110 §7.8 upgrade without connection", "upgrade: websocket\r\n", &["GET /", "-upgrade"]),
        // A client must not be able to take these out.
        of("9110 §7.6.1 connection does not name host", "connection: host\r\n", &["GET /", "host: a"]),
        passed(
            "9110 §7.6.1 nor content-length",
            "POST / HTTP/1.1\r\nhost: a\r\nconnection: content-length\r\ncontent-length: 3\r\n\r\nabc",
            &["POST /", "content-length: 3", "=abc"],
        ),
        passed(
            "9110 §7.6.1 nor transfer-encoding",
            "POST / HTTP/1.1\r\nhost: a\r\nconnection: transfer-encoding\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
            &["POST /", "transfer-encoding: chunked", "=a"],
        ),
        of(
            "9110 §7.6.1 nor what we say about the client",
            "connection: x-forwarded-proto\r\n",
            &["GET /", "x-forwarded-proto: http"],
        ),
    ]);
}

#[test]
fn everything_else_passes() {
    let of = |rule, fields: &str, seen| -> Row { passed(rule, get(fields), seen) };
    hold(&[
        of("9110 §11.6.2 authorization", "authorization: Basic eDp5\r\n", &["GET /", "authorization: Basic eDp5"]),
        of(
            "9110 §11.7.2 proxy-authorization",
            "proxy-authorization: Basic eDp5\r\n",
            &["GET /", "proxy-authorization: Basic eDp5"],
        ),
        of("9110 §10.1.3 referer", "referer: http://x/\r\n", &["GET /", "referer: http://x/"]),
        of("9110 §10.1.5 user-agent", "user-agent: curl/8\r\n", &["GET /", "user-agent: curl/8"]),
        of("9110 §10.1.2 from", "from: me@x\r\n", &["GET /", "from: me@x"]),
        of("9110 §7.6.3 via", "via: 1.0 fred\r\n", &["GET /", "via: 1.0 fred"]),
        of("9110 §7.6.2 max-forwards", "max-forwards: 3\r\n", &["GET /", "max-forwards: 3"]),
        of("7239 §4 forwarded", "forwarded: for=192.0.2.1\r\n", &["GET /", "forwarded: for=192.0.2.1"]),
        of("9110 §12.5.1 accept", "accept: text/html;q=0.9\r\n", &["GET /", "accept: text/html;q=0.9"]),
        of("9110 §12.5.3 accept-encoding", "accept-encoding: gzip, br\r\n", &["GET /", "accept-encoding: gzip, br"]),
        of(
            "9110 §8.3 content-type",
            "content-type: text/plain;charset=utf-8\r\n",
            &["GET /", "content-type: text/plain;charset=utf-8"],
        ),
        of("9110 §8.4 content-encoding", "content-encoding: gzip\r\n", &["GET /", "content-encoding: gzip"]),
        of("9111 §5.2 cache-control", "cache-control: no-transform\r\n", &["GET /", "cache-control: no-transform"]),
        of("9111 §5.4 pragma", "pragma: no-cache\r\n", &["GET /", "pragma: no-cache"]),
        of("9110 §6.6.2 trailer", "trailer: x\r\n", &["GET /", "trailer: x"]),
    ]);
    let of = |rule, fields: &str, back| -> Row {
        answered(rule, format!("HTTP/1.1 200 OK\r\n{fields}content-length: 2\r\n\r\nok"), back)
    };
    hold(&[
        of("9110 §8.8.3 etag", "etag: W/\"1\"\r\n", &["200", "etag: W/\"1\""]),
        of(
            "9110 §8.8.2 last-modified",
            "last-modified: Sat, 01 Jan 2000 00:00:00 GMT\r\n",
            &["200", "last-modified: Sat, 01 Jan 2000 00:00:00 GMT"],
        ),
        of(
            "9110 §6.6.1 date stays the origin's",
            "date: Sat, 01 Jan 2000 00:00:00 GMT\r\n",
            &["200", "date: Sat, 01 Jan 2000 00:00:00 GMT"],
        ),
        of("9110 §12.5.5 vary", "vary: accept, x\r\n", &["200", "vary: accept, x"]),
        of("9111 §5.2 cache-control", "cache-control: max-age=1\r\n", &["200", "cache-control: max-age=1"]),
        of("9111 §5.1 age", "age: 5\r\n", &["200", "age: 5"]),
        of(
            "6265 §3 each set-cookie",
            "set-cookie: a=1\r\nset-cookie: b=2\r\n",
            &["200", "set-cookie: a=1", "set-cookie: b=2"],
        ),
        of(
            "9110 §11.6.1 www-authenticate",
            "www-authenticate: Basic realm=\"x\"\r\n",
            &["200", "www-authenticate: Basic realm=\"x\""],
        ),
        of("9110 §10.2.2 location", "location: /y\r\n", &["200", "location: /y"]),
        of("9110 §5.5 bytes beyond ASCII", "x-a: \u{e4}\r\n", &["200", "x-a: \u{e4}"]),
        of("9110 §7.6.1 not connection", "connection: x-hop\r\nx-hop: 1\r\n", &["200", "-connection", "-x-hop"]),
        of("9110 §7.6.1 not keep-alive", "keep-alive: timeout=5\r\n", &["200", "-keep-alive"]),
        of("9110 §7.6.1 not proxy-connection", "proxy-connection: close\r\n", &["200", "-proxy-connection"]),
    ]);
}
