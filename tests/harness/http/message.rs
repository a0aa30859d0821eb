//! Reading messages of HTTP/1.1 off a stream.

use std::io::{self, BufRead};

/// A message as it came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// The request line or status line.
    pub start: String,
    /// In order; names as sent.
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub trailers: Vec<(String, String)>,
}

/// How the end of a message's body is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// By its own fields.
    Fields,
    /// There is no body, whatever the fields say: an answer to HEAD.
    NoBody,
}

impl Message {
    /// The only value of `name`; panics when there are several.
    pub fn field(&self, name: &str) -> Option<&str> {
        let values = self.values(name);
        assert!(values.len() <= 1, "{name} is there {} times in {self:?}", values.len());
        values.first().copied()
    }

    pub fn values(&self, name: &str) -> Vec<&str> {
        self.fields.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str()).collect()
    }

    /// The status of a response.
    pub fn status(&self) -> u16 {
        let status = self.start.split(' ').nth(1).and_then(|status| status.parse().ok());
        status.unwrap_or_else(|| panic!("{:?} is no status line", self.start))
    }

    /// The second word of a request line.
    pub fn target(&self) -> &str {
        self.start.split(' ').nth(1).unwrap_or_else(|| panic!("{:?} is no request line", self.start))
    }

    /// The body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a body of text")
    }

    fn is_chunked(&self) -> bool {
        self.field("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked"))
    }

    fn is_response(&self) -> bool {
        self.start.starts_with("HTTP/")
    }
}

/// Reads a head. `None` when the stream ends before it begins.
pub fn read_head(stream: &mut impl BufRead) -> io::Result<Option<Message>> {
    let mut message = Message::default();
    if stream.read_line(&mut message.start)? == 0 {
        return Ok(None);
    }
    trim(&mut message.start);
    message.fields = read_fields(stream)?;
    Ok(Some(message))
}

/// Reads a whole message. `None` when the stream ends before it begins.
pub fn read(stream: &mut impl BufRead, framing: Framing) -> io::Result<Option<Message>> {
    let Some(mut message) = read_head(stream)? else { return Ok(None) };
    if framing == Framing::Fields {
        read_body(stream, &mut message)?;
    }
    Ok(Some(message))
}

/// Reads the body that `message`, whose head has been read, announces.
pub fn read_body(stream: &mut impl BufRead, message: &mut Message) -> io::Result<()> {
    let bodiless = matches!(message.start.split(' ').nth(1), Some("204" | "304" | "101"));
    if message.is_response() && bodiless {
        // Whatever the fields say (RFC 9112 §6.3).
        return Ok(());
    }
    if message.is_chunked() {
        loop {
            let mut line = String::new();
            stream.read_line(&mut line)?;
            trim(&mut line);
            let size =
                usize::from_str_radix(&line, 16).map_err(|e| io::Error::other(format!("chunk {line:?}: {e}")))?;
            if size == 0 {
                message.trailers = read_fields(stream)?;
                return Ok(());
            }
            let start = message.body.len();
            message.body.resize(start + size, 0);
            stream.read_exact(&mut message.body[start..])?;
            let mut end = [0; 2];
            stream.read_exact(&mut end)?;
            assert_eq!(&end, b"\r\n", "a chunk is longer than it says");
        }
    }
    if let Some(length) = message.field("content-length") {
        let length = length.parse().map_err(io::Error::other)?;
        message.body.resize(length, 0);
        return stream.read_exact(&mut message.body);
    }
    if message.is_response() {
        stream.read_to_end(&mut message.body)?;
    }
    Ok(())
}

fn read_fields(stream: &mut impl BufRead) -> io::Result<Vec<(String, String)>> {
    let mut fields = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the head broke off"));
        }
        trim(&mut line);
        match line.split_once(':') {
            None if line.is_empty() => return Ok(fields),
            None => return Err(io::Error::other(format!("{line:?} is no field"))),
            Some((name, value)) => fields.push((name.to_owned(), value.trim().to_owned())),
        }
    }
}

fn trim(line: &mut String) {
    line.truncate(line.trim_end_matches(['\r', '\n']).len());
}
