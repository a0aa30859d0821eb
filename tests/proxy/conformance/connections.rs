//! RFC 9112 §9: connections that stay, pipelines, ends.

use super::{
    hold,
    row::{Row, get, passed, post, refused},
};

fn path(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n")
}

#[test]
fn connections_stay_unless_somebody_ends_them() {
    let closing = |rule, fields: &str| -> Row {
        passed(rule, get(fields), &["GET /", "-connection"]).back(&[&["200", "=ok", "connection: close"]]).closed()
    };
    let staying = |rule, fields: &str| -> Row { passed(rule, get(fields), &["GET /", "-connection"]) };
    hold(&[
        staying("9112 §9.3 by default", ""),
        staying("9112 §9.3 with keep-alive", "connection: keep-alive\r\n"),
        closing("9112 §9.6 not with close", "connection: close\r\n"),
        closing("9110 §7.6.1 options know no case", "connection: CLOSE\r\n"),
        closing("9110 §7.6.1 among others", "connection: x, close\r\n"),
        closing("9110 §7.6.1 in a second line", "connection: x\r\nconnection: close\r\n"),
        closing("9112 §9.3 close wins", "connection: keep-alive, close\r\n"),
        closing("9112 §9.3 in any order", "connection: close\r\nconnection: keep-alive\r\n"),
        passed(
            "9112 §9.6 after a body too",
            post("connection: close\r\ncontent-length: 3\r\n", "abc"),
            &["POST /", "=abc"],
        )
        .closed(),
        passed("9112 §9.6 nothing after it is a request", get("connection: close\r\n") + &path("/late"), &["GET /"])
            .closed(),
        // The gateway's connections with clients and with pods have nothing to do with each other.
        passed("9110 §7.6.1 an origin that closes does not close the client's", get(""), &["GET /"])
            .origin_says("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok")
            .origin_closes()
            .back(&[&["200", "=ok", "-connection"]]),
    ]);
}

#[test]
fn answers_come_in_the_order_of_requests() {
    hold(&[
        passed("9112 §9.3.2 two at once", path("/1") + &path("/2"), &[])
            .back(&[&["200"], &["200"]])
            .seen(&[&["GET /1"], &["GET /2"]]),
        passed("9112 §9.3.2 five", (1..=5).map(|n| path(&format!("/{n}"))).collect::<String>(), &[])
            .back(&[&["200"], &["200"], &["200"], &["200"], &["200"]])
            .seen(&[&["GET /1"], &["GET /2"], &["GET /3"], &["GET /4"], &["GET /5"]]),
        passed(
            "9112 §9.3.2 with bodies between",
            post("content-length: 2\r\n", "ab") + &path("/2") + &post("content-length: 1\r\n", "c"),
            &[],
        )
        .back(&[&["200"], &["200"], &["200"]])
        .seen(&[&["POST /", "=ab"], &["GET /2"], &["POST /", "=c"]]),
        passed("9112 §9.3.2 a HEAD among them", "HEAD /1 HTTP/1.1\r\nhost: a\r\n\r\n".to_owned() + &path("/2"), &[])
            .origin_says("HTTP/1.1 304 Not Modified\r\ncontent-length: 7\r\n\r\n")
            .back(&[&["304", "="], &["304", "="]])
            .seen(&[&["HEAD /1"], &["GET /2"]]),
        passed(
            "9112 §9.3.2 our own answers among them",
            path("/1") + "OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n" + &path("/3"),
            &[],
        )
        .back(&[&["200"], &["404"], &["200"]])
        .seen(&[&["GET /1"], &["GET /3"]]),
        passed("9112 §2.2 an empty line between", path("/1") + "\r\n" + &path("/2"), &[])
            .back(&[&["200"], &["200"]])
            .seen(&[&["GET /1"], &["GET /2"]]),
        passed(
            "9112 §9.3.2 a malformed one ends them",
            path("/1") + "GET /2 HTTP/1.1\r\nhost : a\r\n\r\n" + &path("/3"),
            &[],
        )
        .back(&[&["200"], &["400"]])
        .seen(&[&["GET /1"]])
        .closed(),
        passed("9112 §9.6 close ends them", path("/1") + &get("connection: close\r\n") + &path("/3"), &[])
            .back(&[&["200"], &["200"]])
            .seen(&[&["GET /1"], &["GET /"]])
            .closed(),
        refused(
            "9112 §11.2 a refused one takes those behind it along",
            &["400"],
            get("x-a : 1\r\n") + &path("/smuggled"),
        ),
    ]);
}
