//! RFC 9112 §6.1 and §7: transfer codings, chunks, trailers.

use super::{
    hold,
    row::{Row, chunked, get, passed, post, refused},
};

#[test]
fn chunked_is_the_only_coding() {
    let bad = |rule, value: &str| -> Row {
        refused(rule, &["400"], post(&format!("transfer-encoding: {value}\r\n"), "0\r\n\r\n"))
    };
    hold(&[
        passed(
            "9112 §7.1 chunked",
            chunked("3\r\nabc\r\n0\r\n\r\n"),
            &["POST /", "transfer-encoding: chunked", "-content-length", "=abc"],
        ),
        passed(
            "9112 §7 codings know no case",
            post("transfer-encoding: CHUNKED\r\n", "3\r\nabc\r\n0\r\n\r\n"),
            &["POST /", "transfer-encoding: chunked", "=abc"],
        ),
        bad("9112 §6.1 another coding alone", "gzip"),
        bad("9112 §6.1 identity, which is gone", "identity"),
        bad("9112 §6.1 something that looks alike", "xchunked"),
        bad("9112 §6.1 or goes on", "chunkedx"),
        bad("9112 §6.1 in quotes", "\"chunked\""),
        bad("9112 §6.1 with a parameter", "chunked;a=b"),
        bad("9112 §6.1 with a NUL", "chunked\0"),
        bad("9112 §6.1 with a vertical tab", "\u{b}chunked"),
        bad("9112 §6.1 nothing", ""),
        bad("9112 §6.1 two words", "chunked chunked"),
        bad("9112 §6.1 chunked not last", "chunked, gzip"),
        refused(
            "9112 §6.1 not last, in two lines",
            &["400"],
            post("transfer-encoding: chunked\r\ntransfer-encoding: gzip\r\n", "0\r\n\r\n"),
        ),
        refused(
            "9112 §6.1 with HTTP/1.0",
            &["400"],
            "POST / HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        // 501 where the coding before it is none that is understood (RFC 9112 §6.1), which Envoy says too.
        refused("9112 §6.1 a coding before it", &["501"], post("transfer-encoding: gzip, chunked\r\n", "0\r\n\r\n")),
        refused(
            "9112 §6.1 identity before it",
            &["501"],
            post("transfer-encoding: identity, chunked\r\n", "0\r\n\r\n"),
        ),
        refused("9112 §7.1 twice", &["501"], post("transfer-encoding: chunked, chunked\r\n", "0\r\n\r\n")),
    ]);
}

#[test]
fn two_framings_are_one_too_many() {
    // RFC 9112 §6.1 lets a proxy refuse such a request, as Envoy does.
    let one = |rule, fields: &str| -> Row { refused(rule, &["400"], post(fields, "1\r\na\r\n0\r\n\r\n")) };
    hold(&[
        one("9112 §6.1 a length before the coding", "content-length: 3\r\ntransfer-encoding: chunked\r\n"),
        one("9112 §6.1 a length behind it", "transfer-encoding: chunked\r\ncontent-length: 3\r\n"),
        one("9112 §6.1 of zero", "transfer-encoding: chunked\r\ncontent-length: 0\r\n"),
        one("9112 §6.1 that is none", "transfer-encoding: chunked\r\ncontent-length: x\r\n"),
        one(
            "9112 §6.1 lengths that differ",
            "content-length: 3\r\ntransfer-encoding: chunked\r\ncontent-length: 4\r\n",
        ),
        refused(
            "9112 §6.3 a length before it that is none",
            &["400"],
            post("content-length: x\r\ntransfer-encoding: chunked\r\n", "0\r\n\r\n"),
        ),
        one("9112 §6.1 nothing behind it is a request", "content-length: 4\r\ntransfer-encoding: chunked\r\n").sending(
            post(
                "content-length: 4\r\ntransfer-encoding: chunked\r\n",
                "1\r\na\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n",
            ),
        ),
    ]);
}

#[test]
fn chunks_are_put_together() {
    let good = |rule, body: &str, seen| -> Row { passed(rule, chunked(body), seen) };
    hold(&[
        good("9112 §7.1 none", "0\r\n\r\n", &["POST /", "="]),
        good("9112 §7.1 one", "5\r\nhello\r\n0\r\n\r\n", &["POST /", "=hello"]),
        good("9112 §7.1 several", "2\r\nhe\r\n1\r\nl\r\n2\r\nlo\r\n0\r\n\r\n", &["POST /", "=hello"]),
        good("9112 §7.1 hexadecimal, small", "a\r\n0123456789\r\n0\r\n\r\n", &["POST /", "=0123456789"]),
        good("9112 §7.1 hexadecimal, in capitals", "A\r\n0123456789\r\n0\r\n\r\n", &["POST /", "=0123456789"]),
        good("9112 §7.1 leading zeros", "0005\r\nhello\r\n0\r\n\r\n", &["POST /", "=hello"]),
        good("9112 §7.1 the last chunk has many", "1\r\na\r\n0000\r\n\r\n", &["POST /", "=a"]),
        good("9112 §7.1 CRLF in the data", "4\r\n\r\n\r\n\r\n0\r\n\r\n", &["POST /", "=\r\n\r\n"]),
        good(
            "9112 §7.1 what looks like the end in the data",
            "7\r\n0\r\n\r\nGE\r\n0\r\n\r\n",
            &["POST /", "=0\r\n\r\nGE"],
        ),
        good(
            "9112 §7.1.1 extensions are left out",
            "2;a=b\r\nhe\r\n3;c\r\nllo\r\n0;d=\"e\"\r\n\r\n",
            &["POST /", "=hello"],
        ),
        good("9112 §7.1.1 with a quoted semicolon", "5;a=\";\"\r\nhello\r\n0\r\n\r\n", &["POST /", "=hello"]),
        good("9112 §7.1 what follows is the next request", &("1\r\na\r\n0\r\n\r\n".to_owned() + &get("x: 2\r\n")), &[])
            .back(&[&["200"], &["200"]])
            .seen(&[&["POST /", "=a"], &["GET /", "x: 2"]]),
        passed("9110 §9.3.1 of a GET", get("transfer-encoding: chunked\r\n") + "1\r\na\r\n0\r\n\r\n", &["GET /", "=a"]),
    ]);
}

#[test]
fn chunks_that_are_none_break_the_request() {
    let bad = |rule, body: &str| -> Row { refused(rule, &["400"], chunked(body)) };
    hold(&[
        bad("9112 §7.1 no size", "\r\nhello\r\n0\r\n\r\n"),
        bad("9112 §7.1 no number", "x\r\nhello\r\n0\r\n\r\n"),
        bad("9112 §7.1 a minus", "-5\r\nhello\r\n0\r\n\r\n"),
        bad("9112 §7.1 a plus", "+5\r\nhello\r\n0\r\n\r\n"),
        bad("9112 §7.1 0x", "0x5\r\nhello\r\n0\r\n\r\n"),
        bad("9112 §7.1 a space before", " 5\r\nhello\r\n0\r\n\r\n"),
        bad("9112 §7.1 more than 2^64", "10000000000000005\r\nhello\r\n0\r\n\r\n"),
        bad("9112 §7.1 far more", "fffffffffffffffffffff\r\nhello\r\n0\r\n\r\n"),
        bad("9112 §7.1 data longer than it says", "3\r\nhello\r\n0\r\n\r\n"),
        bad("9112 §7.1 no CRLF behind the data", "5\r\nhello0\r\n\r\n"),
        bad("9112 §7.1 a bare LF behind the data", "5\r\nhello\n0\r\n\r\n"),
        bad("9112 §7.1 a bare LF behind the size", "5\nhello\r\n0\r\n\r\n"),
        bad("9112 §7.1.1 a bare LF in an extension", "5;a\nb\r\nhello\r\n0\r\n\r\n"),
        bad("9112 §7.1.1 a bare CR in an extension", "5;a\rb\r\nhello\r\n0\r\n\r\n"),
        bad("9112 §7.1 NUL behind the size", "5\0\r\nhello\r\n0\r\n\r\n"),
        bad("9112 §7.1 a comma behind the size", "5,5\r\nhello\r\n0\r\n\r\n"),
    ]);
    hold(&[
        passed("9112 §8 chunks that break off are no request", chunked("5\r\nhel"), &[])
            .finished()
            .back(&[&["400"]])
            .closed()
            .seen(&[]),
        passed("9112 §8 chunks without the last one neither", chunked("5\r\nhello\r\n"), &[])
            .finished()
            .back(&[&["400"]])
            .closed()
            .seen(&[]),
        passed("9112 §8 nor without the empty line", chunked("5\r\nhello\r\n0\r\n"), &[])
            .finished()
            .back(&[&["400"]])
            .closed()
            .seen(&[]),
    ]);
}

#[test]
fn trailers_pass_and_frame_nothing() {
    let announced = |trailers: &str| {
        post("trailer: x-sum\r\ntransfer-encoding: chunked\r\n", &format!("1\r\na\r\n0\r\n{trailers}\r\n"))
    };
    hold(&[
        passed(
            "9110 §6.5 trailers that were announced",
            announced("x-sum: 7\r\n"),
            &["POST /", "=a", "+x-sum: 7", "trailer: x-sum"],
        ),
        passed(
            "9110 §6.5.1 content-length in trailers means nothing",
            announced("content-length: 99\r\n"),
            &["POST /", "=a", "-content-length"],
        ),
        passed(
            "9110 §6.5.1 nor does transfer-encoding",
            announced("transfer-encoding: gzip\r\n"),
            &["POST /", "=a", "transfer-encoding: chunked"],
        ),
        passed("9110 §6.5.1 nor host", announced("host: b\r\n"), &["POST /", "=a", "host: a"]),
        passed(
            "9110 §6.5 trailers that were not may be left out",
            chunked("1\r\na\r\n0\r\nx-b: 1\r\n\r\n"),
            &["POST /", "=a"],
        ),
        refused("9112 §5.1 a space before the colon of one", &["400"], chunked("1\r\na\r\n0\r\nx-a : 1\r\n\r\n")),
        refused("9110 §5.5 NUL in one", &["400"], chunked("1\r\na\r\n0\r\nx-a: \0\r\n\r\n")),
        refused("9112 §5 no colon in one", &["400"], chunked("1\r\na\r\n0\r\nx-a\r\n\r\n")),
    ]);
}
