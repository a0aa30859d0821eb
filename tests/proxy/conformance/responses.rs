//! RFC 9112 §4, §6.3 and §8: what origins may answer, and what is not believed.

use super::{
    hold,
    row::{Row, answered, get, passed},
};

#[test]
fn answers_are_framed_in_three_ways() {
    hold(&[
        answered(
            "9112 §6.3 by a length",
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
            &["200", "content-length: 5", "=hello"],
        ),
        answered(
            "9112 §6.3 by an empty one",
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            &["200", "content-length: 0", "="],
        ),
        answered(
            "9112 §6.3 by chunks",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            &["200", "transfer-encoding: chunked", "-content-length", "=hello"],
        ),
        answered(
            "9112 §7.1.1 with extensions",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0;z\r\n\r\n",
            &["200", "=hello"],
        ),
        answered("9112 §6.3 by the end", "HTTP/1.1 200 OK\r\n\r\nhello", &["200", "=hello"]).origin_closes(),
        answered("9112 §6.3 which also ends nothing", "HTTP/1.1 200 OK\r\n\r\n", &["200", "="]).origin_closes(),
        answered("9110 §15.3.5 204 has no body", "HTTP/1.1 204 No Content\r\n\r\n", &["204", "-content-length", "="]),
        answered("9110 §15.3.6 205", "HTTP/1.1 205 Reset Content\r\ncontent-length: 0\r\n\r\n", &["205", "="]),
        answered("9112 §2.3 HTTP/1.0 ends with its connection", "HTTP/1.0 200 OK\r\n\r\nhello", &["200", "=hello"])
            .origin_closes(),
        answered("9112 §2.3 or has a length", "HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\nhello", &["200", "=hello"]),
        answered("9112 §2.2 bare LFs", "HTTP/1.1 200 OK\ncontent-length: 2\n\nok", &["200", "=ok"]),
        answered(
            "9110 §6.5 trailers nobody wants may be left out",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx: 1\r\n\r\n",
            &["200", "=ok"],
        ),
        passed("9110 §6.5 those that somebody wants pass", get("te: trailers\r\n"), &["GET /", "te: trailers"])
            .origin_says(
                "HTTP/1.1 200 OK\r\ntrailer: x\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx: 1\r\n\r\n",
            )
            .back(&[&["200", "=ok", "+x: 1"]]),
    ]);
}

#[test]
fn what_is_no_answer_becomes_502() {
    let bad = |rule, bytes: &str| -> Row { answered(rule, bytes, &["502"]) };
    hold(&[
        bad("9112 §4 another protocol", "SSH-2.0-OpenSSH_9.2\r\n\r\n"),
        bad("9112 §4 no status", "HTTP/1.1\r\n\r\n"),
        bad("9112 §4 a status of letters", "HTTP/1.1 abc OK\r\n\r\n"),
        bad("9112 §4 a status of two digits", "HTTP/1.1 20 OK\r\n\r\n"),
        bad("9112 §2.3 a version of its own", "HTTP/7.3 200 OK\r\n\r\n"),
        bad("9112 §5.1 a field without colon", "HTTP/1.1 200 OK\r\nx\r\n\r\n"),
        bad("9110 §5.5 NUL in a value", "HTTP/1.1 200 OK\r\nx: \0\r\ncontent-length: 0\r\n\r\n"),
        bad("9110 §5.1 a control character in a name", "HTTP/1.1 200 OK\r\nx\u{1}: 1\r\ncontent-length: 0\r\n\r\n"),
        bad("9112 §6.3 two lengths", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok"),
        bad("9112 §6.3 a length that is none", "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\nok"),
        bad("9112 §6.3 a negative one", "HTTP/1.1 200 OK\r\ncontent-length: -2\r\n\r\nok"),
        bad("9112 §6.1 a coding nobody knows", "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nok").origin_closes(),
        bad(
            "9112 §6.3 two framings",
            "HTTP/1.1 200 OK\r\ncontent-length: 99\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        ),
        bad("9112 §6.1 chunked not last", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked, gzip\r\n\r\nok")
            .origin_closes(),
    ]);
}

#[test]
fn half_an_answer_does_not_look_whole() {
    let half = |rule, bytes: &str| -> Row { answered(rule, bytes, &["200"]).origin_closes().cut() };
    hold(&[
        half("9112 §8 a body shorter than its length", "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello"),
        half("9112 §8 chunks that break off", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nhello"),
        half("9112 §8 chunks without the last", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n"),
        half(
            "9112 §7.1 a chunk that is none",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\nx\r\n\r\n",
        ),
        half(
            "9112 §7.1 a chunk that is longer",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhello\r\n0\r\n\r\n",
        ),
    ]);
    hold(&[
        answered("9112 §8 half a head is no answer", "HTTP/1.1 200 OK\r\nx: 1\r\n", &["503"]).origin_closes(),
        answered("9112 §8 nor is nothing", "", &["503"]).origin_closes(),
    ]);
}

#[test]
fn what_follows_an_answer_is_nobodys() {
    const STRAY: &str = "HTTP/1.1 200 OK\r\nx-stray: 1\r\ncontent-length: 5\r\n\r\nstray";
    hold(&[
        // The connection's next user is the probe, which must get its own answer.
        answered(
            "9112 §9.2 a second answer",
            format!("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok{STRAY}"),
            &["200", "-x-stray", "=ok"],
        ),
        answered(
            "9112 §6.3 more than its length",
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokokok",
            &["200", "=ok"],
        ),
        answered("9112 §6.3 a body of 204", "HTTP/1.1 204 No Content\r\n\r\nbody", &["204", "="]),
        answered("9112 §6.3 a body of 304", "HTTP/1.1 304 Not Modified\r\n\r\nbody", &["304", "="]),
        answered(
            "9112 §7.1 more than the last chunk",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nmore",
            &["200", "=ok"],
        ),
        passed("9110 §9.3.2 a body of HEAD", "HEAD / HTTP/1.1\r\nhost: a\r\n\r\n", &["HEAD /"])
            .origin_says("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nbody")
            .back(&[&["200", "content-length: 4", "="]]),
        passed("9112 §9.2 between two requests", get("") + &get("x: 2\r\n"), &[])
            .origin_says(format!("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok{STRAY}"))
            .back(&[&["200", "-x-stray", "=ok"], &["200", "-x-stray", "=ok"]])
            .seen(&[&["GET /"], &["GET /", "x: 2"]]),
    ]);
}
