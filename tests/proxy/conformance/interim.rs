//! RFC 9110 §15.2, §10.1.1 and §7.8: answers before the answer, expectations, upgrades.

use super::{
    hold,
    row::{Row, answered, get, passed, post, refused},
};

#[test]
fn expectations_are_met_here() {
    // Envoy passes 100-continue on (docs/istio-differences.md).
    hold(&[
        passed(
            "9110 §10.1.1 with a body",
            post("expect: 100-continue\r\ncontent-length: 3\r\n", "abc"),
            &["POST /", "-expect", "=abc"],
        )
        .back(&[&["100"], &["200", "=ok"]]),
        passed(
            "9110 §10.1.1 in any spelling",
            post("expect: 100-Continue\r\ncontent-length: 3\r\n", "abc"),
            &["POST /", "-expect", "=abc"],
        )
        .back(&[&["100"], &["200", "=ok"]]),
        passed(
            "9110 §10.1.1 with chunks",
            post("expect: 100-continue\r\ntransfer-encoding: chunked\r\n", "1\r\na\r\n0\r\n\r\n"),
            &["POST /", "-expect", "=a"],
        )
        .back(&[&["100"], &["200", "=ok"]]),
        passed(
            "9110 §10.1.1 without a body there is nothing to wait for",
            get("expect: 100-continue\r\n"),
            &["GET /", "-expect"],
        ),
        passed(
            "9110 §10.1.1 nor with an empty one",
            post("expect: 100-continue\r\ncontent-length: 0\r\n", ""),
            &["POST /", "-expect"],
        ),
        refused(
            "9110 §10.1.1 not before the head is accepted",
            &["400"],
            post("expect: 100-continue\r\ncontent-length: x\r\n", ""),
        ),
    ]);
}

#[test]
fn interim_answers_are_not_the_answer() {
    const FINAL: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let of = |rule, interim: &str| -> Row { answered(rule, format!("{interim}{FINAL}"), &["200", "=ok"]) };
    hold(&[
        of("9110 §15.2.1 100 nobody has asked for", "HTTP/1.1 100 Continue\r\n\r\n"),
        of("9110 §15.2 with fields", "HTTP/1.1 100 Continue\r\nx: 1\r\n\r\n"),
        of("9110 §15.2 several", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"),
        of("2518 §10.1 102", "HTTP/1.1 102 Processing\r\n\r\n"),
        of("8297 §2 103 need not be passed on", "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n"),
        of("9110 §15.2 others", "HTTP/1.1 199 Misc\r\n\r\n"),
    ]);
}

#[test]
fn upgrades_need_both_sides() {
    let wish = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: AAAA\r\n";
    const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    hold(&[
        passed(
            "9110 §7.8 a wish for WebSocket reaches the origin",
            get(wish),
            &["GET /", "upgrade: websocket", "connection: upgrade"],
        )
        .origin_says(SWITCH)
        .origin_closes()
        .back(&[&["101", "upgrade: websocket", "connection: upgrade"]])
        .closed(),
        passed("9110 §7.8 an origin may decline", get(wish), &["GET /", "upgrade: websocket"]),
        passed("9110 §7.8 what follows a wish that is declined is a request", get(wish) + &get("x: 2\r\n"), &[])
            .origin_says("HTTP/1.1 426 No\r\ncontent-length: 0\r\n\r\n")
            .back(&[&["426"], &["426"]])
            .seen(&[&["GET /", "upgrade: websocket"], &["GET /", "x: 2"]]),
        refused(
            "9110 §7.8 other protocols are not switched to",
            &["403"],
            get("connection: upgrade\r\nupgrade: tls/1.2\r\n"),
        ),
        passed(
            "7540 §3.2 a wish for h2c is forgotten",
            get("connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAARAAAAAAAIAAAAA\r\n"),
            &["GET /", "-upgrade", "-http2-settings", "-connection"],
        ),
        passed("9110 §7.8 not without connection: upgrade", get("upgrade: websocket\r\n"), &["GET /", "-upgrade"]),
        passed(
            "9110 §7.8 not with HTTP/1.0",
            format!("GET / HTTP/1.0\r\nhost: a\r\n{wish}\r\n"),
            &["GET /", "-upgrade"],
        )
        .closed(),
        answered("9110 §15.2.2 101 nobody has asked for", SWITCH, &["502"]),
    ]);
}
