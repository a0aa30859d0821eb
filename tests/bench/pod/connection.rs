//! One connection to the pod.

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
};

/// What is said to every request.
#[derive(Debug)]
pub(crate) struct Answer {
    kept: Vec<u8>,
    /// To who asks for the end of the connection: one that is closed without a word is an error to its client.
    last: Vec<u8>,
}

impl Answer {
    /// `None` where `kept` has no status line.
    pub(crate) fn new(kept: Vec<u8>) -> Option<Self> {
        let fields = kept.windows(2).position(|window| window == b"\r\n")? + 2;
        let last = [&kept[..fields], b"Connection: close\r\n", &kept[fields..]].concat();
        Some(Self { kept, last })
    }
}

/// What becomes of a connection after a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// It stays open.
    Wait,
    /// It is to be closed.
    End,
}

/// Never blocks.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    /// The beginning of a head whose end has not come.
    begun: Vec<u8>,
}

impl Connection {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self { stream, begun: Vec::new() }
    }

    /// Reads once, and writes `answer` for each head that has come: requests without bodies are all there is.
    pub(crate) fn serve(&mut self, answer: &Answer) -> Next {
        let mut chunk = [0; 16 << 10];
        let read = match self.stream.read(&mut chunk) {
            Ok(0) => return Next::End,
            Ok(count) => &chunk[..count],
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => return Next::Wait,
            Err(_) => return Next::End,
        };
        if self.begun.is_empty() {
            let (heads, rest) = heads(read);
            self.begun.extend_from_slice(rest);
            return self.answer(heads, answer);
        }
        self.begun.extend_from_slice(read);
        let (heads, rest) = heads(&self.begun);
        let rest = rest.to_vec();
        self.begun = rest;
        self.answer(heads, answer)
    }

    fn answer(&mut self, heads: Heads, answer: &Answer) -> Next {
        let answer = if heads.last { &answer.last } else { &answer.kept };
        // A small answer always fits into an empty socket; who does not read is not waited for.
        let written = (0..heads.count).all(|_| self.stream.write(answer).is_ok_and(|count| count == answer.len()));
        if written && !heads.last { Next::Wait } else { Next::End }
    }
}

/// How many heads ended, and whether one of them asked for the end of the connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Heads {
    count: usize,
    last: bool,
}

/// The heads in `text`, and what is left after them.
fn heads(mut text: &[u8]) -> (Heads, &[u8]) {
    let mut heads = Heads::default();
    while let Some(end) = text.windows(4).position(|window| window == b"\r\n\r\n") {
        heads.count += 1;
        heads.last |= text[..end].windows(17).any(|window| window.eq_ignore_ascii_case(b"connection: close"));
        text = &text[end + 4..];
    }
    (heads, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_answer_says_so() {
        let answer = Answer::new(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec()).expect("a status line");
        assert_eq!(answer.last, b"HTTP/1.1 200 OK\r\nConnection: close\r\ncontent-length: 0\r\n\r\n");
        assert!(Answer::new(b"HTTP/1.1 200 OK".to_vec()).is_none());
    }

    #[test]
    fn heads_are_counted_and_the_rest_is_kept() {
        let (found, rest) = heads(b"GET / HTTP/1.1\r\nhost: a\r\n\r\nGET / HTTP/1.1\r\n\r\nGET /");
        assert_eq!((found, rest), (Heads { count: 2, last: false }, &b"GET /"[..]));
        let (found, rest) = heads(b"GET / HTTP/1.1\r\nConnection: Close\r\n\r\n");
        assert_eq!((found, rest), (Heads { count: 1, last: true }, &b""[..]));
        assert_eq!(heads(b"GET / HTTP/1.1\r\nconnection: close\r\n").0, Heads::default());
    }
}
