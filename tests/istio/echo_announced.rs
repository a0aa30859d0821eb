//! Connections that begin with a header of the PROXY protocol: what it says becomes a field of every request on them.

use super::Message;
use std::{
    io::{self, Read},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// What a header has said.
pub(super) struct Announced {
    /// Version, command and family.
    kind: String,
    source: Option<IpAddr>,
    /// The port that the client has come to.
    port: u16,
}

impl Announced {
    /// Reads the header, and not a byte beyond it.
    pub(super) fn read(stream: &mut impl Read) -> io::Result<Self> {
        let mut start = [0; 12];
        stream.read_exact(&mut start)?;
        if &start == b"\r\n\r\n\0\r\nQUIT\n" { Self::binary(stream) } else { Self::text(&start, stream) }
    }

    fn text(start: &[u8], stream: &mut impl Read) -> io::Result<Self> {
        let mut line = start.to_vec();
        while !line.ends_with(b"\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            line.extend(byte);
        }
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        let words: Vec<&str> = line.split(' ').collect();
        let ["PROXY", family, source, _, _, port] = words[..] else { return Err(io::Error::other(line)) };
        let port = port.parse().map_err(io::Error::other)?;
        Ok(Self { kind: format!("1 PROXY {family}"), source: source.parse().ok(), port })
    }

    fn binary(stream: &mut impl Read) -> io::Result<Self> {
        let mut head = [0; 4];
        stream.read_exact(&mut head)?;
        let mut body = vec![0; usize::from(u16::from_be_bytes([head[2], head[3]]))];
        stream.read_exact(&mut body)?;
        let kind = format!("2 {:#04x} {:#04x} {} bytes", head[0], head[1], body.len());
        let two = |at: usize| body.get(at..at + 2).map_or(0, |two| u16::from_be_bytes([two[0], two[1]]));
        let (source, port) = match head[1] {
            0x11 => (body.first_chunk::<4>().map(|ip| IpAddr::V4(Ipv4Addr::from(*ip))), two(10)),
            0x21 => (body.first_chunk::<16>().map(|ip| IpAddr::V6(Ipv6Addr::from(*ip))), two(34)),
            _ => (None, 0),
        };
        Ok(Self { kind, source, port })
    }

    /// Addresses differ from gateway to gateway: of the client's is said whether it is the one in `x-forwarded-for`.
    pub(super) fn as_field(&self, request: &Message) -> (String, String) {
        let forwarded = request.values("x-forwarded-for").join(",");
        let is_client = self.source.is_some_and(|source| forwarded.split(',').next_back() == Some(&source.to_string()));
        let whose = if is_client { "the client's" } else { "another's" };
        ("(announced)".to_owned(), format!("version {}, {whose} connection, to port {}", self.kind, self.port))
    }
}
