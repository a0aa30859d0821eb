//! Just enough HTTP/1.1 to carry bytes.

use super::Reader;
use fastrand::Rng;
use std::io;

/// Start line and fields of a message; names in lower case.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) start: String,
    fields: Vec<(String, String)>,
}

impl Head {
    pub(crate) fn read(reader: &mut Reader) -> io::Result<Self> {
        let start = line(reader)?;
        let mut fields = Vec::new();
        loop {
            let line = line(reader)?;
            if line.is_empty() {
                return Ok(Self { start, fields });
            }
            let (name, value) = line.split_once(':').ok_or_else(|| broken(&format!("{line:?} is no field")))?;
            fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    /// The number in field `name`.
    pub(crate) fn number(&self, name: &str) -> io::Result<u64> {
        let value = self.field(name).ok_or_else(|| broken(&format!("no {name} in {self:?}")))?;
        value.parse().map_err(|error| broken(&format!("{name} is {value:?}: {error}")))
    }

    /// Reads the body, telling `piece` of each piece and its place; answers with its length.
    pub(crate) fn body(&self, reader: &mut Reader, mut piece: impl FnMut(u64, &[u8])) -> io::Result<u64> {
        let mut at = 0;
        if self.field("transfer-encoding").is_none() {
            take(reader, self.number("content-length")?, &mut at, &mut piece)?;
            return Ok(at);
        }
        loop {
            let size = line(reader)?;
            let size = u64::from_str_radix(&size, 16)
                .map_err(|error| broken(&format!("{size:?} is no chunk size: {error}")))?;
            take(reader, size, &mut at, &mut piece)?;
            if !line(reader)?.is_empty() {
                return Err(broken("a chunk is longer than it says"));
            }
            if size == 0 {
                return Ok(at);
            }
        }
    }
}

/// `body` in chunks of random sizes, up to and with the last.
pub(crate) fn chunked(body: &[u8], random: &mut Rng) -> Vec<u8> {
    let mut coded = Vec::with_capacity(body.len() + 256);
    let mut rest = body;
    while !rest.is_empty() {
        let size = random.usize(1..=rest.len().min(40_000));
        let (chunk, after) = rest.split_at(size);
        coded.extend_from_slice(format!("{size:x}\r\n").as_bytes());
        coded.extend_from_slice(chunk);
        coded.extend_from_slice(b"\r\n");
        rest = after;
    }
    coded.extend_from_slice(b"0\r\n\r\n");
    coded
}

fn take(reader: &mut Reader, size: u64, at: &mut u64, piece: &mut impl FnMut(u64, &[u8])) -> io::Result<()> {
    let mut left = size;
    while left > 0 {
        let want = usize::try_from(left).unwrap_or(usize::MAX);
        let bytes = reader.fill(Some(want))?;
        if bytes.is_empty() {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("the body ends {left} bytes early")));
        }
        let count = bytes.len().min(want);
        piece(*at, &bytes[..count]);
        reader.consume(count);
        *at += count as u64;
        left -= count as u64;
    }
    Ok(())
}

fn line(reader: &mut Reader) -> io::Result<String> {
    let mut line = Vec::new();
    loop {
        let bytes = reader.fill(None)?;
        if bytes.is_empty() {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the stream ends in the middle of a line"));
        }
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let count = end.map_or(bytes.len(), |end| end + 1);
        line.extend_from_slice(&bytes[..count]);
        reader.consume(count);
        if end.is_some() {
            let text = String::from_utf8(line).map_err(|error| broken(&format!("a line is no text: {error}")))?;
            return Ok(text.trim_end_matches(['\r', '\n']).to_owned());
        }
        if line.len() > 64 << 10 {
            return Err(broken("a line has no end"));
        }
    }
}

fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}
