//! RFC 9110 §13 to §15: conditions, ranges and statuses are between client and origin.

use super::{
    hold,
    row::{Row, answered, get, passed},
};

#[test]
fn conditions_and_ranges_pass() {
    let of = |rule, fields: &str, seen| -> Row { passed(rule, get(fields), seen) };
    hold(&[
        of("9110 §13.1.1 if-match", "if-match: \"a\", \"b\"\r\n", &["GET /", "if-match: \"a\", \"b\""]),
        of("9110 §13.1.2 if-none-match", "if-none-match: W/\"a\"\r\n", &["GET /", "if-none-match: W/\"a\""]),
        of("9110 §13.1.2 of everything", "if-none-match: *\r\n", &["GET /", "if-none-match: *"]),
        of(
            "9110 §13.1.3 if-modified-since",
            "if-modified-since: Sat, 01 Jan 2000 00:00:00 GMT\r\n",
            &["GET /", "if-modified-since: Sat, 01 Jan 2000 00:00:00 GMT"],
        ),
        of(
            "9110 §13.1.4 if-unmodified-since",
            "if-unmodified-since: Saturday, 01-Jan-00 00:00:00 GMT\r\n",
            &["GET /", "if-unmodified-since: Saturday, 01-Jan-00 00:00:00 GMT"],
        ),
        of(
            "9110 §13.1.5 if-range",
            "range: bytes=0-1\r\nif-range: \"a\"\r\n",
            &["GET /", "range: bytes=0-1", "if-range: \"a\""],
        ),
        of("9110 §14.2 range", "range: bytes=0-499, -500\r\n", &["GET /", "range: bytes=0-499, -500"]),
        of("9110 §14.2 of other units", "range: lines=1-2\r\n", &["GET /", "range: lines=1-2"]),
        of("9110 §14.2 that are none", "range: bytes=9-1\r\n", &["GET /", "range: bytes=9-1"]),
        of(
            "9110 §5.6.7 dates that are none",
            "if-modified-since: yesterday\r\n",
            &["GET /", "if-modified-since: yesterday"],
        ),
    ]);
    hold(&[
        answered(
            "9110 §15.3.7 206",
            "HTTP/1.1 206 Partial Content\r\ncontent-range: bytes 0-1/9\r\ncontent-length: 2\r\n\r\nab",
            &["206", "content-range: bytes 0-1/9", "=ab"],
        ),
        answered(
            "9110 §14.6 206 in parts",
            "HTTP/1.1 206 Partial Content\r\ncontent-type: multipart/byteranges; boundary=X\r\ncontent-length: 5\r\n\r\n--X--",
            &["206", "content-type: multipart/byteranges; boundary=X", "=--X--"],
        ),
        answered(
            "9110 §15.5.17 416",
            "HTTP/1.1 416 No\r\ncontent-range: bytes */9\r\ncontent-length: 0\r\n\r\n",
            &["416", "content-range: bytes */9"],
        ),
        answered("9110 §15.5.13 412", "HTTP/1.1 412 No\r\ncontent-length: 0\r\n\r\n", &["412"]),
        answered(
            "9110 §15.4.5 304 has no body",
            "HTTP/1.1 304 Not Modified\r\netag: \"a\"\r\n\r\n",
            &["304", "etag: \"a\"", "="],
        ),
        answered(
            "9110 §8.6 304 may say how long the body would be",
            "HTTP/1.1 304 Not Modified\r\ncontent-length: 100\r\n\r\n",
            &["304", "="],
        ),
        answered(
            "9110 §14.3 accept-ranges",
            "HTTP/1.1 200 OK\r\naccept-ranges: none\r\ncontent-length: 0\r\n\r\n",
            &["200", "accept-ranges: none"],
        ),
    ]);
}

#[test]
fn statuses_pass() {
    let of = |rule, line: &str, back| -> Row {
        answered(rule, format!("HTTP/1.1 {line}\r\ncontent-length: 1\r\n\r\nx"), back)
    };
    hold(&[
        of("9110 §15.3.2 201", "201 Created", &["201", "=x"]),
        of("9110 §15.3.3 202", "202 Accepted", &["202", "=x"]),
        of("9110 §15.3.4 203", "203 Non-Authoritative Information", &["203", "=x"]),
        of("9110 §15.4.2 301", "301 Moved Permanently", &["301", "=x"]),
        of("9110 §15.4.3 302", "302 Found", &["302", "=x"]),
        of("9110 §15.4.8 307", "307 Temporary Redirect", &["307", "=x"]),
        of("9110 §15.5.2 401", "401 Unauthorized", &["401", "=x"]),
        of("9110 §15.5.5 404", "404 Not Found", &["404", "=x"]),
        of("9110 §15.5.6 405", "405 Method Not Allowed", &["405", "=x"]),
        of("9110 §15.5.9 408", "408 Request Timeout", &["408", "=x"]),
        of("9110 §15.5.14 413", "413 Content Too Large", &["413", "=x"]),
        of("9110 §15.5.18 417", "417 Expectation Failed", &["417", "=x"]),
        of("6585 §4 429", "429 Too Many Requests", &["429", "=x"]),
        of("9110 §15.6.1 500", "500 Internal Server Error", &["500", "=x"]),
        of("9110 §15.6.2 501", "501 Not Implemented", &["501", "=x"]),
        of("9110 §15.6.6 505", "505 No", &["505", "=x"]),
        of("9110 §15 statuses nobody knows", "299 Odd", &["299", "=x"]),
        of("9110 §15 of every class", "499 Odd", &["499", "=x"]),
        of("9110 §15 up to 599", "599 Odd", &["599", "=x"]),
        of("9112 §4 no reason", "200 ", &["200", "=x"]),
        of("9112 §4 a reason beyond ASCII", "200 \u{c4}h", &["200", "=x"]),
    ]);
}
