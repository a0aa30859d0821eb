//! Messages of HTTP/1.1 read by the letter of RFC 9112: what a sender must not send is an error. Bytes beyond ASCII are
//! characters of Latin-1, so that none is lost.

use super::message::Message;
use std::io::{self, BufRead};

/// The next request. `None` when the stream ends before it begins.
///
/// # Errors
/// `InvalidData` when a sender must not send this; anything else when the message broke off.
pub fn request(stream: &mut impl BufRead) -> io::Result<Option<Message>> {
    let Some(mut message) = head(stream)? else { return Ok(None) };
    let words: Vec<&str> = message.start.split(' ').collect();
    let [method, target, "HTTP/1.1"] = words[..] else { return illegal("request line", &message.start) };
    let is_visible = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_token(method) || !is_visible(target) {
        return illegal("request line", &message.start);
    }
    if message.values("host").len() != 1 {
        return illegal("number of hosts", &format!("{:?}", message.fields));
    }
    match framing(&message)? {
        Framing::Chunked => chunks(stream, &mut message)?,
        Framing::Length(length) => exactly(stream, &mut message, length)?,
        Framing::None => {}
    }
    Ok(Some(message))
}

/// The next response, to a request with `method`. `None` when the stream ends before it begins.
///
/// # Errors
/// As those of [`request`].
pub fn response(stream: &mut impl BufRead, method: &str) -> io::Result<Option<Message>> {
    let Some(mut message) = head(stream)? else { return Ok(None) };
    // The version is that of the request, or HTTP/1.1 (RFC 9112 §2.3).
    let start = message.start.strip_prefix("HTTP/1.1 ").or_else(|| message.start.strip_prefix("HTTP/1.0 "));
    let status = start.and_then(|rest| rest.split_once(' ')).map(|(status, _)| status);
    let Some(status) = status.filter(|status| status.len() == 3 && status.bytes().all(|byte| byte.is_ascii_digit()))
    else {
        return illegal("status line", &message.start);
    };
    let has_no_body = status.starts_with('1') || matches!(status, "204" | "304") || method == "HEAD";
    let is_framed = !message.values("content-length").is_empty() || !message.values("transfer-encoding").is_empty();
    if is_framed && (status.starts_with('1') || status == "204") {
        // RFC 9110 §8.6, RFC 9112 §6.1
        return illegal("framing of an answer that has no body", &format!("{message:?}"));
    }
    match framing(&message)? {
        _ if has_no_body => {}
        Framing::Chunked => chunks(stream, &mut message)?,
        Framing::Length(length) => exactly(stream, &mut message, length)?,
        Framing::None => {
            stream.read_to_end(&mut message.body)?;
        }
    }
    Ok(Some(message))
}

enum Framing {
    None,
    Length(usize),
    Chunked,
}

/// How the body is framed: one way only.
fn framing(message: &Message) -> io::Result<Framing> {
    match (&message.values("transfer-encoding")[..], &message.values("content-length")[..]) {
        (["chunked"], []) => Ok(Framing::Chunked),
        ([], []) => Ok(Framing::None),
        ([], [length]) if !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit()) => {
            length.parse().map(Framing::Length).map_err(io::Error::other)
        }
        other => illegal("framing", &format!("{other:?}")),
    }
}

fn head(stream: &mut impl BufRead) -> io::Result<Option<Message>> {
    let Some(start) = line(stream)? else { return Ok(None) };
    Ok(Some(Message { start, fields: fields(stream)?, ..Message::default() }))
}

fn fields(stream: &mut impl BufRead) -> io::Result<Vec<(String, String)>> {
    let mut fields = Vec::new();
    loop {
        let line = line(stream)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        if line.is_empty() {
            return Ok(fields);
        }
        let Some((name, value)) = line.split_once(':').filter(|(name, _)| is_token(name)) else {
            return illegal("field line", &line);
        };
        let value = value.trim_matches([' ', '\t']);
        if value.chars().any(|c| (c < ' ' && c != '\t') || c == '\u{7f}') {
            return illegal("field value", &line);
        }
        fields.push((name.to_owned(), value.to_owned()));
    }
}

fn chunks(stream: &mut impl BufRead, message: &mut Message) -> io::Result<()> {
    loop {
        let size = line(stream)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        if size.is_empty() || !size.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return illegal("chunk size", &size);
        }
        let size = usize::from_str_radix(&size, 16).map_err(io::Error::other)?;
        if size == 0 {
            message.trailers = fields(stream)?;
            return Ok(());
        }
        exactly(stream, message, size)?;
        match line(stream)? {
            Some(end) if end.is_empty() => {}
            Some(more) => return illegal("end of a chunk", &more),
            None => return Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

fn exactly(stream: &mut impl BufRead, message: &mut Message, length: usize) -> io::Result<()> {
    let start = message.body.len();
    message.body.resize(start + length, 0);
    stream.read_exact(&mut message.body[start..])
}

/// A line without its CRLF, which is the only CR and the only LF in it.
fn line(stream: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    if stream.read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    let text: String = line.iter().map(|&byte| char::from(byte)).collect();
    if !text.ends_with('\n') {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    match text.strip_suffix("\r\n") {
        Some(line) if !line.contains(['\r', '\0']) => Ok(Some(line.to_owned())),
        _ => illegal("line", &text),
    }
}

/// RFC 9110 §5.6.2
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

fn illegal<T>(what: &str, text: &str) -> io::Result<T> {
    Err(io::Error::new(io::ErrorKind::InvalidData, format!("no legal {what}: {text:?}")))
}
