//! RE2's syntax, as far as it differs from the regex crate's.

use super::{compile_full, compile_search};

#[track_caller]
fn check(pattern: &str, matching: &[&str], other: &[&str]) {
    let regex = compile_full(pattern).unwrap_or_else(|reason| panic!("{reason}"));
    for text in matching {
        assert!(regex.is_match(text.as_bytes()), "{pattern} must match {text:?}; it is {regex}");
    }
    for text in other {
        assert!(!regex.is_match(text.as_bytes()), "{pattern} must not match {text:?}; it is {regex}");
    }
}

#[track_caller]
fn check_refused(pattern: &str, reason: &str) {
    let refused = compile_full(pattern).expect_err(pattern);
    assert!(refused.contains(reason), "{pattern}: {refused}");
}

#[test]
fn the_whole_text_must_match() {
    check("/a", &["/a"], &["/ab", "x/a", "/a\n"]);
    check("/a|/b", &["/a", "/b"], &["/ax", "x/b"]);
    check("^/a$", &["/a"], &["/a\n"]);
    check("(?i)/a", &["/A"], &["/b"]);
    check(".*", &["", "anything"], &["two\nlines"]);
    check("(?s).*", &["two\nlines"], &[]);
    assert!(compile_search("b+").unwrap().is_match(b"abbc"));
}

#[test]
fn braces_that_repeat_nothing_are_literal() {
    check("/{id}", &["/{id}"], &["/id"]);
    check("a{,2}", &["a{,2}"], &["", "aa"]);
    check("a{2}", &["aa"], &["a", "a{2}"]);
    check("a{1,}", &["a", "aaa"], &[""]);
    check("a{1,2}?", &["a", "aa"], &["aaa"]);
    check("{}x{", &["{}x{"], &[]);
    check("a{1,2", &["a{1,2"], &[]);
    check("a{1,2,3}", &["a{1,2,3}"], &[]);
}

#[test]
fn classes_are_ascii() {
    check(r"\d", &["7"], &["٣", "a"]);
    check(r"\w+", &["aZ_9"], &["é", "-"]);
    check(r"\s", &[" ", "\t", "\n", "\x0c", "\r"], &["\x0b", "\u{a0}"]);
    check(r"[\d-]+", &["1-2"], &["a"]);
    check(r"[^\w]", &["-"], &["a"]);
    check(r"[\D]", &["a"], &["1"]);
    check(r"\bé", &[], &["é"]);
}

#[test]
fn brackets_and_operators_in_classes_are_literal() {
    check("[[]", &["["], &["a"]);
    check("[a[]+", &["a["], &["b"]);
    check("[]a]+", &["]a"], &["b"]);
    check("[^]a]", &["b"], &["]", "a"]);
    check("[a&&b]+", &["a&b"], &["c"]);
    check("[+--c]+", &["+,-c"], &["b"]);
    check("[a~~b]+", &["~ab"], &["c"]);
    check("[a-]+", &["a-"], &["b"]);
    check("[-a]+", &["a-"], &["b"]);
    check("[a-c]+", &["abc"], &["-", "d"]);
    check(r"[\]\\^]+", &[r"]\^"], &["a"]);
    check("[[:alpha:]]+", &["ab"], &["1", ":"]);
    check("[[:^digit:]x]", &["a", "x"], &["1"]);
    check("[[:x]+", &["[:x"], &["]"]);
}

#[test]
fn escapes_mean_what_they_mean_in_re2() {
    check(r"\Qa.b\E+", &["a.b", "a.bbb"], &["axb"]);
    check(r"\Qa|b", &["a|b"], &["a"]);
    check(r"a\.b\/\-\_\<\>", &["a.b/-_<>"], &[]);
    check(r"\x41\x{42}\103", &["ABC"], &[]);
    check(r"\12", &["\n"], &[]);
    check(r"\t\a\f\v\r", &["\t\x07\x0c\x0b\r"], &[]);
    check(r"\Aa\z", &["a"], &[]);
    check(".", &["a", "é"], &["ab", "\n"]);
    check(r"\pL+", &["éa"], &["1"]);
    check(r"\p{Greek}", &["α"], &["a"]);
    check(r"é+", &["éé"], &["e"]);
    check("(?P<name>a)(?<other>b)(?:c)(?i:d)(?-i)e", &["abcDe"], &[]);
    check("^*a", &["a"], &[]);
}

#[test]
fn what_re2_refuses_is_refused() {
    check_refused("(?=a)", "look-around");
    check_refused("(?!a)", "look-around");
    check_refused("(?<=a)b", "look-around");
    check_refused("(?<!a)b", "look-around");
    check_refused(r"(a)\1", "back-reference");
    check_refused("a**", "repeats a repetition");
    check_refused("a+*", "repeats a repetition");
    check_refused("a{2}{3}", "repeats a repetition");
    check_refused("*", "no RE2 expression");
    check_refused("(*)", "no RE2 expression");
    check_refused("a)", "closes no group");
    check_refused("a)|(b", "closes no group");
    check_refused("(a", "not closed");
    check_refused(r"\C", "no escape");
    check_refused("(?", "not closed");
    check_refused("[a", "not closed");
    check_refused("[c-a]", "empty");
    check_refused("[a--c]", "empty");
    check_refused(r"a\", "backslash");
    check_refused(r"\y", "no escape");
    check_refused(r"\Z", "no escape");
    check_refused("(?x) a", "no group of RE2");
    check_refused("(?>a)", "no group of RE2");
    check_refused("a{1001}", "more than 1000");
    check_refused("a{3,2}", "at least");
    check_refused(r"\x{110000}", "no character");
    check_refused("", "is empty");
    check_refused(&"a".repeat(1025), "1024");
    check_refused("((a{1000}){1000}){10}", "too large");
}
