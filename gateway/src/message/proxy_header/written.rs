//! Headers of our own: whose connection it is that we make to an endpoint.

use super::{Addresses, SIGNATURE};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// Both addresses of one family: an IPv4 address beside one of IPv6 is written as the latter.
fn of_one_family(Addresses { source, destination }: Addresses) -> Addresses {
    let (source, destination) = (canonical(source), canonical(destination));
    match (source.ip(), destination.ip()) {
        (IpAddr::V4(_), IpAddr::V4(_)) | (IpAddr::V6(_), IpAddr::V6(_)) => Addresses { source, destination },
        _ => {
            let mapped = |address: SocketAddr| SocketAddr::new(in_version_6(address.ip()).into(), address.port());
            Addresses { source: mapped(source), destination: mapped(destination) }
        }
    }
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

fn in_version_6(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

/// A header of version 1 (§2.1).
pub fn text_of(addresses: Addresses) -> Vec<u8> {
    let Addresses { source, destination } = of_one_family(addresses);
    let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
    let (from, to) = (source.port(), destination.port());
    format!("PROXY {family} {} {} {from} {to}\r\n", source.ip(), destination.ip()).into_bytes()
}

/// A header of version 2 (§2.2); without addresses LOCAL, a connection of the sender's own.
pub fn binary_of(addresses: Option<Addresses>) -> Vec<u8> {
    let mut header = SIGNATURE.to_vec();
    let Some(addresses) = addresses else {
        header.extend([0x20, 0, 0, 0]);
        return header;
    };
    let Addresses { source, destination } = of_one_family(addresses);
    match (source.ip(), destination.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            header.extend([0x21, 0x11, 0, 12]);
            header.extend(from.octets());
            header.extend(to.octets());
        }
        (from, to) => {
            header.extend([0x21, 0x21, 0, 36]);
            header.extend(in_version_6(from).octets());
            header.extend(in_version_6(to).octets());
        }
    }
    header.extend(source.port().to_be_bytes());
    header.extend(destination.port().to_be_bytes());
    header
}

#[cfg(test)]
mod tests {
    use super::{
        super::{ProxyHeader, parse},
        *,
    };
    use proptest::prelude::*;

    fn address() -> impl Strategy<Value = SocketAddr> {
        (any::<IpAddr>(), any::<u16>()).prop_map(|(ip, port)| SocketAddr::new(ip, port))
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(source in address(), destination in address()) {
            let addresses = Addresses { source, destination };
            let said = of_one_family(addresses);
            for header in [text_of(addresses), binary_of(Some(addresses))] {
                let read = parse(&header);
                let whole = ProxyHeader { length: header.len(), addresses: Some(said) };
                prop_assert_eq!(read, Ok(Some(whole)));
            }
            prop_assert_eq!(said.source.ip().to_canonical(), source.ip().to_canonical());
            prop_assert_eq!(said.destination.port(), destination.port());
        }
    }

    #[test]
    fn headers_are_as_the_document_has_them() {
        let addresses = |source: &str, destination: &str| Addresses {
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
        };
        let both = addresses("10.1.2.3:5555", "10.0.0.1:80");
        assert_eq!(text_of(both), b"PROXY TCP4 10.1.2.3 10.0.0.1 5555 80\r\n");
        assert_eq!(text_of(addresses("[2001:db8::1]:1", "[::1]:443")), b"PROXY TCP6 2001:db8::1 ::1 1 443\r\n");
        assert_eq!(text_of(addresses("[::ffff:10.1.2.3]:1", "10.0.0.1:2")), b"PROXY TCP4 10.1.2.3 10.0.0.1 1 2\r\n");
        let body = b"\x21\x11\0\x0c\x0a\x01\x02\x03\x0a\0\0\x01\x15\xb3\0\x50";
        assert_eq!(binary_of(Some(both)), [&SIGNATURE[..], body].concat());
        assert_eq!(binary_of(None), [&SIGNATURE[..], b"\x20\0\0\0"].concat());
    }
}
