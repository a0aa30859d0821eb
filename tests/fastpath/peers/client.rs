//! A caller.

use super::{Content, Head, Read, Reader, Write, connect, connect_blocking, message, send};
use crate::world::Namespace;
use fastrand::Rng;
use std::{
    fmt, io,
    net::{SocketAddr, TcpStream},
};

/// A connection to the gateway that verifies every byte of every answer.
pub(crate) struct Client {
    reader: Reader,
    random: Rng,
}

/// One request and what is to come back.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    /// The first segment of the path: which backend.
    pub(crate) service: String,
    /// The length of the request's body.
    pub(crate) up: usize,
    /// The length of the answer's.
    pub(crate) down: usize,
    pub(crate) write: Write,
    /// How the backend writes its answer.
    pub(crate) answer: Write,
    pub(crate) chunked_up: bool,
    pub(crate) chunked_down: bool,
    /// The backend closes its connection after the answer.
    pub(crate) close: bool,
    /// The backend reads late.
    pub(crate) slow: bool,
}

impl Exchange {
    pub(crate) fn new(service: &str, up: usize, down: usize) -> Self {
        Self {
            service: service.to_owned(),
            up,
            down,
            write: Write::Whole,
            answer: Write::Whole,
            chunked_up: false,
            chunked_down: false,
            close: false,
            slow: false,
        }
    }

    /// The whole request, whose body is that of `seed`.
    pub(crate) fn request(&self, seed: u64, random: &mut Rng) -> Vec<u8> {
        let body = Content::new(seed).bytes(0..self.up as u64);
        let framing = if self.chunked_up {
            "transfer-encoding: chunked".to_owned()
        } else {
            format!("content-length: {}", self.up)
        };
        let mut message = format!(
            "POST /{}/x HTTP/1.1\r\nhost: backend\r\n{framing}\r\nx-seed: {seed}\r\nx-answer: {}\r\nx-write: {}\r\n\
             x-chunked: {}\r\nx-close: {}\r\nx-slow: {}\r\n\r\n",
            self.service,
            self.down,
            self.answer.name(),
            u8::from(self.chunked_down),
            u8::from(self.close),
            u8::from(self.slow),
        )
        .into_bytes();
        if self.chunked_up {
            message.extend_from_slice(&message::chunked(&body, random));
        } else {
            message.extend_from_slice(&body);
        }
        message
    }
}

impl Client {
    pub(crate) fn connect(from: &Namespace, to: SocketAddr, how: Read, random: &mut Rng) -> io::Result<Self> {
        let stream = if how.blocks() { connect_blocking(from, to)? } else { connect(from, to)? };
        Self::new(stream, how, random)
    }

    /// On a connection that has been made already.
    pub(crate) fn new(stream: TcpStream, how: Read, random: &mut Rng) -> io::Result<Self> {
        // Below, at and above the sizes of the messages.
        let pieces = [512, 4096, 16 << 10, 128 << 10];
        let piece = pieces[random.usize(..pieces.len())];
        Ok(Self { reader: Reader::new(stream, how, piece)?, random: random.fork() })
    }

    pub(crate) fn reader(&mut self) -> &mut Reader {
        &mut self.reader
    }

    /// Sends the request and reads the answer.
    ///
    /// # Errors
    /// What came instead.
    pub(crate) fn exchange(&mut self, exchange: &Exchange) -> Result<(), Fault> {
        let seed = self.random.u64(..);
        let request = exchange.request(seed, &mut self.random);
        let sent = send(self.reader.stream(), exchange.write, &request, &mut self.random);
        let sent = sent.map_err(|error| Fault::of("sending", error));
        let done = sent.and_then(|()| self.answer(exchange, seed));
        done.map_err(|fault| fault.about(&format!("{exchange:?}, seed {seed}")))
    }

    /// Reads the answer to a request that was sent with `seed`.
    pub(crate) fn answer(&mut self, exchange: &Exchange, seed: u64) -> Result<(), Fault> {
        let head = Head::read(&mut self.reader).map_err(|error| Fault::of("the answer's head", error))?;
        if !head.start.starts_with("HTTP/1.1 200") {
            return Err(Fault::Status(format!("{head:?}")));
        }
        let mut wrong = None;
        let content = Content::new(seed.wrapping_add(1));
        let body = head.body(&mut self.reader, |at, bytes| {
            if wrong.is_none() {
                wrong = content.check(at, bytes).err();
            }
        });
        match (wrong, body) {
            (Some(wrong), _) => Err(Fault::Wrong(wrong)),
            (_, Err(error)) => Err(Fault::of("the answer's body", error)),
            (_, Ok(length)) if length != exchange.down as u64 => Err(Fault::Wrong(format!("{length} bytes came"))),
            _ => Ok(()),
        }
    }
}

/// What went wrong with an exchange.
#[derive(Debug)]
pub(crate) enum Fault {
    /// Bytes came that were not sent.
    Wrong(String),
    /// Another answer than the backend's.
    Status(String),
    /// The connection ended, or bytes did not come.
    Broken(String),
}

impl Fault {
    pub(super) fn of(what: &str, error: io::Error) -> Self {
        let text = format!("{what}: {error}");
        if error.kind() == io::ErrorKind::InvalidData { Self::Wrong(text) } else { Self::Broken(text) }
    }

    pub(super) fn about(self, what: &str) -> Self {
        match self {
            Self::Wrong(text) => Self::Wrong(format!("{what}: {text}")),
            Self::Status(text) => Self::Status(format!("{what}: {text}")),
            Self::Broken(text) => Self::Broken(format!("{what}: {text}")),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wrong(text) => write!(f, "wrong bytes: {text}"),
            Self::Status(text) => write!(f, "another answer: {text}"),
            Self::Broken(text) => write!(f, "{text}"),
        }
    }
}
