//! What is asked for, and what must come back.

use anyhow::{Context, ensure};
use std::str::FromStr;

/// One request and its only right answer: 200 by this subset, with this many bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Expected {
    /// The request as it is sent.
    pub(crate) request: Vec<u8>,
    subset: String,
    length: Option<usize>,
}

impl FromStr for Expected {
    type Err = anyhow::Error;

    /// `/v1/small=v1/70`, where the length may be left out, and `/v1/small@reviews.test=v1` for another host.
    fn from_str(text: &str) -> anyhow::Result<Self> {
        let (target, answer) = text.split_once('=').with_context(|| format!("{text} has no '=SUBSET'"))?;
        let (path, host) = target.split_once('@').unwrap_or((target, "bench.test"));
        ensure!(path.starts_with('/'), "the path in {text} does not begin with '/'");
        let (subset, length) = match answer.split_once('/') {
            Some((subset, length)) => (subset, Some(length.parse().with_context(|| format!("{length} is no length"))?)),
            None => (answer, None),
        };
        let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n").into_bytes();
        Ok(Self { request, subset: subset.to_owned(), length })
    }
}

impl Expected {
    /// Why an answer with this head and so many bytes of body is wrong.
    pub(crate) fn complaint(&self, head: &str, length: usize) -> Option<String> {
        let status = head.split(' ').nth(1).unwrap_or_default();
        if status != "200" {
            return Some(format!("status {status}"));
        }
        let subset = field(head, "x-subset").unwrap_or_default();
        if subset != self.subset {
            return Some(format!("{:?} answered, not {:?}", subset, self.subset));
        }
        self.length.filter(|wanted| *wanted != length).map(|wanted| format!("{length} bytes, not {wanted}"))
    }
}

/// The value of a field of a head, by its lower-case name.
pub(crate) fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let of = |line: &'a str| line.split_once(':').filter(|(key, _)| key.eq_ignore_ascii_case(name));
    head.split("\r\n").find_map(of).map(|(_, value)| value.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_right_in_every_part_or_wrong() {
        let expected: Expected = "/v1/small=v1/70".parse().expect("a request");
        assert!(expected.request.starts_with(b"GET /v1/small HTTP/1.1\r\n"));
        let head = |status: u16, subset: &str| format!("HTTP/1.1 {status} Some\r\nX-Subset: {subset}\r\n");
        assert_eq!(expected.complaint(&head(200, "v1"), 70), None);
        assert_eq!(expected.complaint(&head(404, "v1"), 70), Some("status 404".to_owned()));
        assert_eq!(expected.complaint(&head(200, "v2"), 70), Some("\"v2\" answered, not \"v1\"".to_owned()));
        assert_eq!(expected.complaint(&head(200, "v1"), 69), Some("69 bytes, not 70".to_owned()));
        assert!("/v1/small".parse::<Expected>().is_err());
    }
}
