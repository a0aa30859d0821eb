//! The beginning of a connection, looked at without taking part in it: is it TLS, and for which server name.
//!
//! TLS that is passed on may be older, newer or stranger than what ends here, so nothing is asked of a hello but its form
//! (RFC 8446 §4.1.2, RFC 6066 §3).

/// What is longer is no hello any more: Envoy's `TLS_MAX_CLIENT_HELLO`.
pub const LONGEST: usize = 16 * 1024;

/// What the first bytes of a connection are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opening {
    /// More bytes would tell.
    Incomplete,
    /// No TLS, or none that can be read.
    Other,
    /// A whole hello, with its server name in lower case.
    Hello { server_name: Option<String> },
}

const HANDSHAKE_RECORD: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const SERVER_NAME: u16 = 0;
const HOST_NAME: u8 = 0;

/// Looks at the first `bytes` of a connection.
pub fn look(bytes: &[u8]) -> Opening {
    match handshake(bytes) {
        Err(opening) => opening,
        Ok(body) => hello(&body).map_or(Opening::Other, |server_name| Opening::Hello { server_name }),
    }
}

/// The body of the first handshake message, put together from as many records as it takes.
fn handshake(bytes: &[u8]) -> Result<Vec<u8>, Opening> {
    let mut message = Vec::new();
    let mut rest = Input(bytes);
    loop {
        let start = rest.0;
        match start {
            [] => return Err(Opening::Incomplete),
            [HANDSHAKE_RECORD] | [HANDSHAKE_RECORD, 3, ..] => {}
            _ => return Err(Opening::Other),
        }
        let header = rest.take(3).and_then(|_| rest.number(2));
        let Some(length) = header else { return Err(Opening::Incomplete) };
        let fragment = rest.0.get(..length).unwrap_or(rest.0);
        message.extend_from_slice(fragment);
        if message.first().is_some_and(|kind| *kind != CLIENT_HELLO) {
            return Err(Opening::Other);
        }
        let mut whole = Input(&message);
        let length_of_body = whole.take(1).and_then(|_| whole.number(3));
        if length_of_body.is_some_and(|length| length > LONGEST) || length == 0 {
            return Err(Opening::Other);
        }
        if let Some(body) = length_of_body.and_then(|length| whole.take(length)) {
            return Ok(body.to_vec());
        }
        if rest.take(length).is_none() {
            return Err(Opening::Incomplete);
        }
    }
}

/// The server name in the body of a hello; `None` when it is none.
fn hello(body: &[u8]) -> Option<Option<String>> {
    let mut input = Input(body);
    input.take(2 + 32)?;
    for bytes_of_length in [1, 2, 1] {
        let length = input.number(bytes_of_length)?;
        input.take(length)?;
    }
    if input.0.is_empty() {
        return Some(None);
    }
    let length = input.number(2)?;
    let mut extensions = Input(input.take(length)?);
    while !extensions.0.is_empty() {
        let kind = extensions.number(2)?;
        let length = extensions.number(2)?;
        let extension = extensions.take(length)?;
        if kind == usize::from(SERVER_NAME) {
            return Some(Some(name(extension)?));
        }
    }
    Some(None)
}

/// Of a host name, in bytes.
const LONGEST_NAME: usize = 255;

/// The first host name of the extension.
fn name(extension: &[u8]) -> Option<String> {
    let mut input = Input(extension);
    let length = input.number(2)?;
    let mut list = Input(input.take(length)?);
    loop {
        let kind = list.number(1)?;
        let length = list.number(2)?;
        let name = list.take(length)?;
        if kind == usize::from(HOST_NAME) {
            // What no name can be is none for BoringSSL either (`TLSEXT_MAXLEN_host_name`).
            let is_name = name.len() <= LONGEST_NAME && name.iter().all(u8::is_ascii_graphic);
            return std::str::from_utf8(name).ok().filter(|_| is_name).map(str::to_ascii_lowercase);
        }
    }
}

/// Bytes that are read from the front.
struct Input<'b>(&'b [u8]);

impl<'b> Input<'b> {
    fn take(&mut self, count: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// A number of `count` bytes, the highest first.
    fn number(&mut self, count: usize) -> Option<usize> {
        Some(self.take(count)?.iter().fold(0, |number, byte| number << 8 | usize::from(*byte)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A hello of `extensions` in records of at most `fragment` bytes.
    fn records(extensions: &[u8], fragment: usize) -> Vec<u8> {
        let length = |bytes: &[u8]| u16::try_from(bytes.len()).unwrap().to_be_bytes();
        let mut body = vec![3, 3];
        body.extend([7; 32]);
        body.extend([1, 9, 0, 2, 0x13, 1, 1, 0]);
        body.extend(length(extensions));
        body.extend(extensions);
        let mut message = vec![1, 0];
        message.extend(length(&body));
        message.extend(body);
        let mut bytes = Vec::new();
        for part in message.chunks(fragment) {
            bytes.extend([22, 3, 1]);
            bytes.extend(length(part));
            bytes.extend(part);
        }
        bytes
    }

    const GREASE: [u8; 4] = [0x0a, 0x0a, 0, 0];
    const A_TEST: [u8; 15] = [0, 0, 0, 11, 0, 9, 0, 0, 6, b'A', b'.', b't', b'E', b's', b't'];

    fn for_a_test(fragment: usize) -> Vec<u8> {
        records(&[&GREASE[..], &A_TEST].concat(), fragment)
    }

    fn hello(name: Option<&str>) -> Opening {
        Opening::Hello { server_name: name.map(str::to_owned) }
    }

    #[test]
    fn the_server_name_is_found_in_whatever_records() {
        for fragment in [1, 2, 3, 4, 5, 40, 41, 1000] {
            let whole = for_a_test(fragment);
            assert_eq!(look(&whole), hello(Some("a.test")), "fragments of {fragment}");
            for cut in 0..whole.len() {
                assert_eq!(look(&whole[..cut]), Opening::Incomplete, "fragments of {fragment}, {cut} bytes of them");
            }
            let followed = [&whole[..], b"early data"].concat();
            assert_eq!(look(&followed), hello(Some("a.test")));
        }
    }

    #[test]
    fn what_cannot_be_a_name_is_none() {
        let named = |name: &[u8]| {
            let length = |bytes: usize| u16::try_from(bytes).unwrap().to_be_bytes();
            let list = [&[0][..], &length(name.len()), name].concat();
            let extension = [&[0, 0][..], &length(list.len() + 2), &length(list.len()), &list].concat();
            look(&records(&extension, 1000))
        };
        let long = [b'a'; LONGEST_NAME + 1];
        assert_eq!(named(&long[1..]), hello(Some(std::str::from_utf8(&long[1..]).unwrap())));
        for bad in [&long[..], b"a\0b", b"a b", "\u{e9}".as_bytes(), b"\xff"] {
            assert_eq!(named(bad), Opening::Other, "{bad:?}");
        }
    }

    #[test]
    fn a_hello_needs_no_name() {
        assert_eq!(look(&records(&GREASE, 1000)), hello(None));
        assert_eq!(look(&records(&[], 1000)), hello(None));
    }

    #[test]
    fn other_beginnings_are_told_at_once() {
        for other in
            [&b"G"[..], b"GET / HTTP/1.1\r\n", b"SSH-2.0", b"\x16\x02", b"\x15\x03\x01", b"\0", b"\x16\x03\x01\0\0"]
        {
            assert_eq!(look(other), Opening::Other, "{other:?}");
        }
        assert_eq!(look(b""), Opening::Incomplete);
        assert_eq!(look(b"\x16"), Opening::Incomplete);
        // A server's hello, and one longer than anybody sends.
        assert_eq!(look(b"\x16\x03\x01\0\x04\x02"), Opening::Other);
        assert_eq!(look(b"\x16\x03\x01\x40\0\x01\x01\0\0"), Opening::Other);
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let whole = for_a_test(50);
        for index in 0..whole.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut changed = whole.clone();
                changed[index] = value;
                look(&changed);
            }
        }
    }
}
