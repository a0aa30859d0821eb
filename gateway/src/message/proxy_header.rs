//! The PROXY protocol's header, by which a load balancer says whose connection it is: versions 1 and 2 of
//! <https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt>.

mod written;

pub use written::{binary_of, text_of};

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The longest header of version 1, with its end (§2.1).
const LONGEST_TEXT: usize = 107;

/// The longest of version 2 that is taken: addresses take 36 bytes, and the rest is for what nobody here reads.
const LONGEST_BINARY: usize = 4096;

/// What begins version 2 (§2.2).
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
const TEXT: &[u8; 6] = b"PROXY ";

/// A header that has come whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProxyHeader {
    /// In bytes; what follows is the client's.
    pub length: usize,
    /// `None` for a connection of the balancer's own, or one of whose origin it says nothing.
    pub addresses: Option<Addresses>,
}

/// Both ends of the connection between the client and the balancer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Addresses {
    pub source: SocketAddr,
    pub destination: SocketAddr,
}

/// What came is no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidProxyHeader {
    #[error("it begins with something else than a PROXY header")]
    Absent,
    #[error("its PROXY header is longer than may be")]
    TooLong,
    #[error("its PROXY header is malformed: {0}")]
    Malformed(&'static str),
}

/// Reads the header at the beginning of `bytes`. `None` as long as it is not there whole.
///
/// # Errors
/// As soon as it cannot become one any more.
pub fn parse(bytes: &[u8]) -> Result<Option<ProxyHeader>, InvalidProxyHeader> {
    let begins = |wanted: &[u8]| bytes.iter().zip(wanted).all(|(byte, wanted)| byte == wanted);
    if begins(SIGNATURE) {
        return if bytes.len() < SIGNATURE.len() { Ok(None) } else { binary(bytes) };
    }
    if begins(TEXT) {
        return if bytes.len() < TEXT.len() { Ok(None) } else { text(bytes) };
    }
    Err(InvalidProxyHeader::Absent)
}

fn text(bytes: &[u8]) -> Result<Option<ProxyHeader>, InvalidProxyHeader> {
    let malformed = InvalidProxyHeader::Malformed;
    let within = &bytes[..bytes.len().min(LONGEST_TEXT)];
    let Some(end) = within.windows(2).position(|pair| pair == b"\r\n") else {
        return if bytes.len() >= LONGEST_TEXT { Err(InvalidProxyHeader::TooLong) } else { Ok(None) };
    };
    let line = std::str::from_utf8(&bytes[TEXT.len()..end]).map_err(|_utf8| malformed("it is no text"))?;
    let length = end + 2;
    let mut words = line.split(' ');
    let family = words.next().unwrap_or_default();
    if family == "UNKNOWN" {
        // Whatever follows is to be ignored.
        return Ok(Some(ProxyHeader { length, addresses: None }));
    }
    let (Some(source), Some(destination), Some(from), Some(to), None) =
        (words.next(), words.next(), words.next(), words.next(), words.next())
    else {
        return Err(malformed("two addresses and two ports must follow, one blank apart"));
    };
    let address = |text: &str| -> Option<IpAddr> {
        match family {
            "TCP4" => text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
            "TCP6" => text.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
            _ => None,
        }
    };
    let port = |text: &str| {
        // No sign, and no zero in front (§2.1).
        let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
        text.parse::<u16>().ok().filter(|_| is_plain)
    };
    let addresses = (|| {
        Some(Addresses {
            source: SocketAddr::new(address(source)?, port(from)?),
            destination: SocketAddr::new(address(destination)?, port(to)?),
        })
    })();
    match addresses {
        Some(addresses) => Ok(Some(ProxyHeader { length, addresses: Some(addresses) })),
        None => Err(malformed("a family, address or port is none")),
    }
}

fn binary(bytes: &[u8]) -> Result<Option<ProxyHeader>, InvalidProxyHeader> {
    let malformed = InvalidProxyHeader::Malformed;
    let Some(&[version_and_command, family, high, low]) = bytes.get(12..16).and_then(|four| four.first_chunk::<4>())
    else {
        return Ok(None);
    };
    let rest = usize::from(u16::from_be_bytes([high, low]));
    let length = 16 + rest;
    let command = match version_and_command {
        0x20 => None,
        0x21 => Some(family),
        _ => return Err(malformed("its version or command is unknown")),
    };
    if length > LONGEST_BINARY {
        return Err(InvalidProxyHeader::TooLong);
    }
    // What it says of itself is looked at before the rest has come.
    let needed = match command {
        // LOCAL, or of no family: whatever follows is to be ignored.
        None | Some(0x00) => 0,
        Some(0x11) => 12,
        Some(0x21) => 36,
        Some(_) => return Err(malformed("its family is neither TCP over IPv4 nor TCP over IPv6")),
    };
    if rest < needed {
        return Err(malformed("it is shorter than its addresses"));
    }
    let Some(body) = bytes.get(16..length) else { return Ok(None) };
    let addresses = match needed {
        12 => body.first_chunk::<12>().map(|b| {
            let ip = |at: usize| IpAddr::V4(Ipv4Addr::new(b[at], b[at + 1], b[at + 2], b[at + 3]));
            let port = |at: usize| u16::from_be_bytes([b[at], b[at + 1]]);
            Addresses { source: SocketAddr::new(ip(0), port(8)), destination: SocketAddr::new(ip(4), port(10)) }
        }),
        36 => body.first_chunk::<36>().map(|b| {
            let ip = |at: usize| {
                let mut octets = [0; 16];
                octets.copy_from_slice(&b[at..at + 16]);
                IpAddr::V6(Ipv6Addr::from(octets))
            };
            let port = |at: usize| u16::from_be_bytes([b[at], b[at + 1]]);
            Addresses { source: SocketAddr::new(ip(0), port(32)), destination: SocketAddr::new(ip(16), port(34)) }
        }),
        _ => None,
    };
    Ok(Some(ProxyHeader { length, addresses }))
}

#[cfg(test)]
mod tests;
