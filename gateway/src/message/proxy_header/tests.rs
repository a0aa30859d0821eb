//! Headers, good and bad, and every beginning of each.

use super::*;
use InvalidProxyHeader::{Absent, Malformed, TooLong};

fn addresses(source: &str, destination: &str) -> Option<Addresses> {
    Some(Addresses { source: source.parse().unwrap(), destination: destination.parse().unwrap() })
}

fn version_2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap().to_be_bytes();
    [&SIGNATURE[..], &[command, family], &length, body].concat()
}

const V4: [u8; 12] = [10, 0, 0, 9, 10, 0, 0, 1, 0x1f, 0x90, 0, 80];

/// A header is nothing until its last byte, and then ends where it ends.
fn is_read(header: &[u8], expected: Option<Addresses>) {
    for length in 0..header.len() {
        assert_eq!(parse(&header[..length]), Ok(None), "{length} of {header:?}");
    }
    let whole = ProxyHeader { length: header.len(), addresses: expected };
    assert_eq!(parse(header), Ok(Some(whole)), "{header:?}");
    assert_eq!(parse(&[header, b"GET / HTTP/1.1\r\n"].concat()), Ok(Some(whole)), "{header:?}");
}

#[test]
fn both_versions_are_read() {
    is_read(b"PROXY TCP4 10.0.0.9 10.0.0.1 8080 80\r\n", addresses("10.0.0.9:8080", "10.0.0.1:80"));
    is_read(b"PROXY TCP6 fd00::9 fd00::1 65535 0\r\n", addresses("[fd00::9]:65535", "[fd00::1]:0"));
    is_read(b"PROXY UNKNOWN\r\n", None);
    is_read(b"PROXY UNKNOWN whatever is here\r\n", None);
    is_read(&version_2(0x21, 0x11, &V4), addresses("10.0.0.9:8080", "10.0.0.1:80"));
    let mut v6 = [0; 36];
    (v6[0], v6[15], v6[16], v6[31], v6[33], v6[35]) = (0xfd, 9, 0xfd, 1, 7, 80);
    is_read(&version_2(0x21, 0x21, &v6), addresses("[fd00::9]:7", "[fd00::1]:80"));
    // With extensions behind the addresses, which nobody reads.
    is_read(&version_2(0x21, 0x11, &[&V4[..], &[4, 0, 1, 0]].concat()), addresses("10.0.0.9:8080", "10.0.0.1:80"));
    is_read(&version_2(0x20, 0x00, &[]), None);
    is_read(&version_2(0x20, 0x11, &V4), None);
    is_read(&version_2(0x21, 0x00, b"ignored"), None);
}

#[test]
fn what_is_none_is_refused() {
    for text in
        [&b"GET / HTTP/1.1\r\n"[..], b"\x16\x03\x01", b"PROXY\tTCP4", b"proxy TCP4", b"\r\n\r\n\0\r\nQUIX", b"X"]
    {
        assert_eq!(parse(text), Err(Absent), "{text:?}");
    }
    for line in [
        "TCP4 10.0.0.9 10.0.0.1 8080",
        "TCP4 10.0.0.9 10.0.0.1 8080 80 1",
        "TCP4  10.0.0.9 10.0.0.1 8080 80",
        "TCP4 10.0.0.9 10.0.0.1 08080 80",
        "TCP4 10.0.0.9 10.0.0.1 +8080 80",
        "TCP4 10.0.0.9 10.0.0.1 65536 80",
        "TCP4 fd00::9 fd00::1 1 2",
        "TCP6 10.0.0.9 10.0.0.1 1 2",
        "TCP4 10.0.0.09 10.0.0.1 1 2",
        "UDP4 10.0.0.9 10.0.0.1 1 2",
        "unknown",
        "",
    ] {
        let header = format!("PROXY {line}\r\n");
        assert!(matches!(parse(header.as_bytes()), Err(Malformed(_))), "{line}");
    }
    let long = format!("PROXY UNKNOWN {}", "x".repeat(LONGEST_TEXT));
    assert_eq!(parse(long.as_bytes()), Err(TooLong));
    assert!(matches!(parse(b"PROXY \xff\xfe\r\n"), Err(Malformed(_))));
    for (command, family, length) in [(0x11, 0x11, 12), (0x22, 0x11, 12), (0x21, 0x12, 12), (0x21, 0x31, 216)] {
        assert!(matches!(parse(&version_2(command, family, &vec![0; length])), Err(Malformed(_))), "{family:x}");
    }
    assert!(matches!(parse(&version_2(0x21, 0x11, &[0; 11])), Err(Malformed(_))));
    assert!(matches!(parse(&version_2(0x21, 0x21, &[0; 35])), Err(Malformed(_))));
    assert_eq!(parse(&version_2(0x21, 0x11, &[0; 5000])), Err(TooLong));
}

#[test]
fn any_bytes_never_panic() {
    let mut state = 1_u64;
    let mut random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state.to_be_bytes()[0]
    };
    for _ in 0..20_000 {
        let mut bytes = if random() % 2 == 0 { SIGNATURE.to_vec() } else { TEXT.to_vec() };
        let length = usize::from(random()) % 64;
        bytes.extend((0..length).map(|_| random()));
        if let Ok(Some(header)) = parse(&bytes) {
            assert!(header.length <= bytes.len());
        }
    }
}
