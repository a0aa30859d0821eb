//! A row of the table: what a client sends, what an origin answers, what both must see.

use super::origin::{Answer, Seen};
use harness::http::message::Message;

/// What is expected of one message: the status, or method and target; then `name: value` for all values of a field in
/// order, `-name` for a field that is not there, `+name: value` for a trailer, `=text` for the whole body.
pub(super) type Expected = &'static [&'static str];

#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) rule: &'static str,
    /// What the client sends; characters are bytes of Latin-1.
    pub(super) sent: String,
    /// The client ends its side then.
    pub(super) finishes: bool,
    pub(super) answer: Answer,
    pub(super) back: Vec<Expected>,
    pub(super) end: End,
    pub(super) seen: Vec<Expected>,
}

/// What becomes of the client's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Open,
    Closed,
    /// In the middle of the answer, so that nobody takes it for whole; or without any.
    Cut,
}

/// A request that is refused with `status`, of which no origin sees anything, and which ends its connection.
pub(super) fn refused(rule: &'static str, status: Expected, sent: impl Into<String>) -> Row {
    let answer = Answer::default();
    Row { rule, sent: sent.into(), finishes: false, answer, back: vec![status], end: End::Closed, seen: Vec::new() }
}

/// A request that an origin sees as `seen` and answers with 200.
pub(super) fn passed(rule: &'static str, sent: impl Into<String>, seen: Expected) -> Row {
    let answer = Answer::default();
    Row {
        rule,
        sent: sent.into(),
        finishes: false,
        answer,
        back: vec![&["200", "=ok"]],
        end: End::Open,
        seen: vec![seen],
    }
}

/// A plain GET that an origin answers with these bytes, and what the client gets.
pub(super) fn answered(rule: &'static str, bytes: impl Into<String>, back: Expected) -> Row {
    let mut row = passed(rule, "GET / HTTP/1.1\r\nhost: a\r\n\r\n", &["GET /"]);
    row.answer = Answer::bytes(bytes.into());
    row.back = vec![back];
    row
}

impl Row {
    pub(super) fn sending(mut self, sent: impl Into<String>) -> Self {
        self.sent = sent.into();
        self
    }

    /// Several answers.
    pub(super) fn back(mut self, back: &[Expected]) -> Self {
        self.back = back.to_vec();
        self
    }

    /// Several requests at origins.
    pub(super) fn seen(mut self, seen: &[Expected]) -> Self {
        self.seen = seen.to_vec();
        self
    }

    pub(super) fn open(mut self) -> Self {
        self.end = End::Open;
        self
    }

    pub(super) fn closed(mut self) -> Self {
        self.end = End::Closed;
        self
    }

    /// There is no whole answer.
    pub(super) fn cut(mut self) -> Self {
        (self.end, self.back) = (End::Cut, Vec::new());
        self
    }

    /// The client sends no more than this.
    pub(super) fn finished(mut self) -> Self {
        self.finishes = true;
        self
    }

    /// The origin answers with these bytes.
    pub(super) fn origin_says(mut self, bytes: impl Into<String>) -> Self {
        self.answer.bytes = wire(&bytes.into());
        self
    }

    /// The origin closes after its answer.
    pub(super) fn origin_closes(mut self) -> Self {
        self.answer.closes = true;
        self
    }

    /// The method of the request that answer `number` is for.
    pub(super) fn method(&self, number: usize) -> &str {
        let starts = self.sent.split("\r\n").filter(|line| line.ends_with(" HTTP/1.1") || line.ends_with(" HTTP/1.0"));
        starts.map(|start| start.split(' ').next().unwrap_or_default()).nth(number).unwrap_or("GET")
    }

    /// What origins have seen. A request that broke off is none, but one by the letter up to there.
    pub(super) fn check_seen(&self, seen: &[Seen]) -> Result<(), String> {
        let mut whole = Vec::new();
        for one in seen {
            match one {
                Seen::Whole(request) if request.target() == "/probe" => {}
                Seen::Whole(request) => whole.push(request),
                Seen::BrokenOff => {}
                Seen::Illegal(reason) => return Err(format!("an origin has seen what it must not: {reason}")),
            }
        }
        if whole.len() != self.seen.len() {
            return Err(format!("origins have seen {whole:?}, not {:?}", self.seen));
        }
        whole.into_iter().zip(&self.seen).try_for_each(|(request, expected)| check(request, expected, false))
    }

    /// What came of an answer that must not look whole.
    pub(super) fn check_cut(&self, rest: &[u8]) -> Result<(), String> {
        let text: String = rest.iter().map(|&byte| char::from(byte)).collect();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { return Ok(()) };
        let field = |name: &str| {
            head.lines().filter_map(|line| line.split_once(':')).find(|(n, _)| n.eq_ignore_ascii_case(name))
        };
        let length = field("content-length").and_then(|(_, value)| value.trim().parse::<usize>().ok());
        let is_whole = match length {
            Some(length) => body.len() >= length,
            None => field("transfer-encoding").is_none() || body.ends_with("0\r\n\r\n"),
        };
        if is_whole { Err(format!("this looks whole: {text:?}")) } else { Ok(()) }
    }
}

/// Holds `message` against what is expected of it.
pub(super) fn check(message: &Message, expected: Expected, is_answer: bool) -> Result<(), String> {
    let wrong = |what: &str| Err(format!("{what}: expected {expected:?}, got {message:?}"));
    let mut words = message.start.split(' ');
    let start = if is_answer {
        words.nth(1).unwrap_or_default().to_owned()
    } else {
        words.by_ref().take(2).collect::<Vec<_>>().join(" ")
    };
    if expected.first() != Some(&start.as_str()) {
        return wrong("start line");
    }
    for line in &expected[1..] {
        if let Some(body) = line.strip_prefix('=') {
            if message.body != wire(body) {
                return wrong("body");
            }
        } else if let Some(name) = line.strip_prefix('-') {
            if !message.values(name).is_empty() {
                return wrong(name);
            }
        } else if let Some((name, value)) = line.strip_prefix('+').and_then(|line| line.split_once(": ")) {
            if !message.trailers.iter().any(|(n, v)| n.eq_ignore_ascii_case(name) && v == value) {
                return wrong("trailers");
            }
        } else {
            let name = line.split_once(':').map_or(*line, |(name, _)| name);
            let same = |line: &&&str| line.split_once(':').is_some_and(|(n, _)| n == name);
            let all: Vec<&str> = expected[1..]
                .iter()
                .filter(same)
                .filter_map(|line| Some(line.split_once(':')?.1.trim_start()))
                .collect();
            if message.values(name) != all {
                return wrong(name);
            }
        }
    }
    Ok(())
}

/// The bytes of a row's text.
pub(super) fn wire(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).collect()
}

/// A GET with these field lines beside `host`.
pub(super) fn get(fields: &str) -> String {
    format!("GET / HTTP/1.1\r\nhost: a\r\n{fields}\r\n")
}

/// A POST with these field lines beside `host`, and what follows the head.
pub(super) fn post(fields: &str, body: &str) -> String {
    format!("POST / HTTP/1.1\r\nhost: a\r\n{fields}\r\n{body}")
}

/// A POST in chunks with this body.
pub(super) fn chunked(body: &str) -> String {
    post("transfer-encoding: chunked\r\n", body)
}
