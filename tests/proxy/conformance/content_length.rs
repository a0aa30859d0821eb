//! RFC 9110 §8.6 and RFC 9112 §6.2: bodies of a known length.

use super::{
    hold,
    row::{Row, get, passed, post, refused},
};

#[test]
fn lengths_are_decimal_numbers() {
    let bad = |rule, length: &str| -> Row {
        refused(rule, &["400"], post(&format!("content-length: {length}\r\n"), "abcde"))
    };
    let good = |rule, length: &str, seen| -> Row {
        passed(rule, post(&format!("content-length:{length}\r\n"), "abcde"), seen)
    };
    hold(&[
        good("9110 §8.6 digits", " 5", &["POST /", "content-length: 5", "=abcde"]),
        good("9112 §5.1 without whitespace", "5", &["POST /", "content-length: 5", "=abcde"]),
        good("9112 §5.1 with whitespace after it", " 5 \t", &["POST /", "content-length: 5", "=abcde"]),
        bad("9112 §6.3 a sign", "+5"),
        bad("9112 §6.3 a minus", "-5"),
        bad("9112 §6.3 minus nothing", "-0"),
        bad("9112 §6.3 hexadecimal", "0x5"),
        bad("9112 §6.3 letters", "five"),
        bad("9112 §6.3 a letter behind digits", "5a"),
        bad("9112 §6.3 a fraction", "5.0"),
        bad("9112 §6.3 an exponent", "5e0"),
        bad("9112 §6.3 a space within", "5 5"),
        bad("9112 §6.3 nothing", ""),
        bad("9112 §6.3 a quoted number", "\"5\""),
        bad("9112 §6.3 an underscore", "5_0"),
        bad("9112 §6.3 more than 2^64", "18446744073709551621"),
        bad("9112 §6.3 far more", "99999999999999999999999999999999999999999"),
        bad("9112 §6.3 digits beyond ASCII", "\u{b2}"),
        bad("9112 §6.3 a list of different numbers", "5, 6"),
        bad("9112 §6.3 a list with an empty element", "5,"),
        bad("9112 §6.3 a semicolon", "5;"),
    ]);
}

#[test]
fn there_is_one_length() {
    let two =
        |first: &str, second: &str| post(&format!("content-length: {first}\r\ncontent-length: {second}\r\n"), "abcde");
    hold(&[
        refused("9112 §6.3 two different ones", &["400"], two("5", "6")),
        refused("9112 §6.3 a number and none", &["400"], two("5", "x")),
        refused("9112 §6.3 nothing and a number", &["400"], two("", "5")),
        refused("9112 §6.3 zero first", &["400"], two("0", "5")),
        refused("9112 §6.3 zero last", &["400"], two("5", "0")),
        refused(
            "9112 §6.3 three, the last one different",
            &["400"],
            post("content-length: 5\r\ncontent-length: 5\r\ncontent-length: 4\r\n", "abcde"),
        ),
        refused("9112 §6.3 in other spellings", &["400"], post("Content-Length: 5\r\nCONTENT-LENGTH: 6\r\n", "abcde")),
        passed(
            "9110 §8.6 the same twice is once, or refused",
            two("5", "5"),
            &["POST /", "content-length: 5", "=abcde"],
        ),
    ]);
}

#[test]
fn bodies_end_where_they_say() {
    hold(&[
        passed("9112 §6.3 no length is no body", get(""), &["GET /", "="]),
        passed("9112 §6.3 zero is no body", post("content-length: 0\r\n", ""), &["POST /", "content-length: 0", "="]),
        passed("9112 §6.3 zeros are zero", post("content-length: 000\r\n", ""), &["POST /", "="]),
        passed(
            "9112 §6.2 what follows is the next request",
            post("content-length: 3\r\n", "abc") + &get("x: 2\r\n"),
            &[],
        )
        .back(&[&["200"], &["200"]])
        .seen(&[&["POST /", "=abc"], &["GET /", "x: 2"]]),
        passed(
            "9112 §6.2 lines in a body are no lines",
            post("content-length: 22\r\n", "GET /smuggled HTTP/1.1"),
            &["POST /", "=GET /smuggled HTTP/1.1"],
        ),
        passed(
            "9110 §6.4 every byte",
            post("content-length: 6\r\n", "\0\u{1}\r\n\u{80}\u{ff}"),
            &["POST /", "=\0\u{1}\r\n\u{80}\u{ff}"],
        ),
        passed("9112 §8 a body that breaks off is no request", post("content-length: 10\r\n", "abc"), &[])
            .finished()
            .back(&[&["400"]])
            .closed()
            .seen(&[]),
        passed("9112 §8 a head that breaks off is none", "GET / HTTP/1.1\r\nhost: a\r\n", &[])
            .finished()
            .cut()
            .seen(&[]),
        passed("9112 §8 half a request line is none", "GET / HT", &[]).finished().cut().seen(&[]),
    ]);
}
