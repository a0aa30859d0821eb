//! Addresses that no ServiceEntry may lead to.
//!
//! Whoever may write a ServiceEntry in some namespace would else reach, through the gateway, what only the node itself can:
//! its loopback and its own services, the cloud's metadata, the API server.

use super::world::World;
use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// What is refused besides the addresses that always are, and what is allowed all the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressGuard {
    /// Addresses of the node and of the API server, as far as they are known from outside of the cluster's objects.
    pub own: BTreeSet<IpAddr>,
    /// Blocks that ServiceEntries may lead to although they would be refused.
    pub allowed: Vec<AddressBlock>,
}

/// A CIDR block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressBlock {
    address: IpAddr,
    bits: u8,
}

impl AddressBlock {
    /// The block that `text` names: `127.0.0.0/8`, or one address.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.trim().parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Some(most), |bits| bits.trim().parse().ok())?;
        (bits <= most).then_some(Self { address, bits })
    }

    fn contains(self, address: IpAddr) -> bool {
        // Shifting out all bits overflows: a block of no bits contains everything.
        match (self.address, address) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                (a.to_bits() ^ b.to_bits()).checked_shr(32 - u32::from(self.bits)).unwrap_or(0) == 0
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => {
                (a.to_bits() ^ b.to_bits()).checked_shr(128 - u32::from(self.bits)).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

/// Metadata services outside of the link-local blocks: Alibaba Cloud, Azure, Oracle Cloud, and over IPv6 AWS and Google.
const METADATA: [IpAddr; 5] = [
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
];

impl AddressGuard {
    /// What `address` is, when a ServiceEntry must not lead to it.
    pub(super) fn refuses(&self, address: IpAddr, world: &World) -> Option<&'static str> {
        self.refuses_beside(address, |address| world.api_servers().any(|server| server == address))
    }

    /// The same, where `is_api_server` knows the addresses of the API server.
    pub(super) fn refuses_beside(
        &self,
        address: IpAddr,
        is_api_server: impl Fn(IpAddr) -> bool,
    ) -> Option<&'static str> {
        let address = canonical(address);
        if self.allowed.iter().any(|block| block.contains(address)) {
            return None;
        }
        if METADATA.contains(&address) {
            return Some("a metadata service");
        }
        let kind = match address {
            IpAddr::V4(v4) if v4.is_link_local() => Some("link-local, where metadata services are"),
            IpAddr::V6(v6) if v6.is_unicast_link_local() => Some("link-local"),
            _ if address.is_loopback() => Some("the gateway's own loopback"),
            // Linux connects to itself at 0.0.0.0.
            IpAddr::V4(v4) if v4.octets()[0] == 0 => Some("the gateway itself"),
            IpAddr::V6(v6) if v6.is_unspecified() => Some("the gateway itself"),
            IpAddr::V4(v4) if v4.is_broadcast() => Some("no address of one host"),
            _ if address.is_multicast() => Some("no address of one host"),
            _ => None,
        };
        if kind.is_some() {
            return kind;
        }
        if self.own.contains(&address) {
            return Some("the node's own, or the API server's");
        }
        is_api_server(address).then_some("the API server's")
    }
}

/// IPv4 addresses inside IPv6 ones are what they lead to: mapped (RFC 4291 §2.5.5.2) and translated (RFC 6052 §2.1).
fn canonical(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) if v6.segments()[..6] == [0x64, 0xff9b, 0, 0, 0, 0] => {
            let [.., a, b, c, d] = v6.octets();
            IpAddr::V4(Ipv4Addr::new(a, b, c, d))
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(guard: &AddressGuard, address: &str) -> bool {
        guard.refuses(address.parse().unwrap(), &World::default()).is_some()
    }

    #[test]
    fn what_only_the_node_reaches_is_refused() {
        let guard = AddressGuard { own: ["10.0.0.7".parse().unwrap()].into(), allowed: Vec::new() };
        for address in [
            "127.0.0.1",
            "127.9.9.9",
            "::1",
            "0.0.0.0",
            "0.1.2.3",
            "::",
            "169.254.169.254",
            "169.254.0.1",
            "fe80::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "100.100.100.200",
            "168.63.129.16",
            "fd00:ec2::254",
            "224.0.0.1",
            "ff02::1",
            "255.255.255.255",
            "10.0.0.7",
            "::ffff:10.0.0.7",
        ] {
            assert!(refused(&guard, address), "{address}");
        }
        for address in ["10.0.0.8", "192.0.2.1", "8.8.8.8", "2001:db8::1", "fd00::1", "100.100.100.201"] {
            assert!(!refused(&guard, address), "{address}");
        }
    }

    #[test]
    fn what_is_allowed_is_not_refused() {
        let allowed = ["127.0.0.0/8", "fe80::/10", "169.254.1.1"].map(|text| AddressBlock::parse(text).unwrap());
        let guard = AddressGuard { own: BTreeSet::new(), allowed: allowed.to_vec() };
        for (address, is_refused) in [
            ("127.0.0.1", false),
            ("::ffff:127.0.0.1", false),
            ("fe80::9", false),
            ("169.254.1.1", false),
            ("169.254.1.2", true),
            ("::1", true),
        ] {
            assert_eq!(refused(&guard, address), is_refused, "{address}");
        }
        let all = AddressGuard { own: BTreeSet::new(), allowed: vec![AddressBlock::parse("0.0.0.0/0").unwrap()] };
        assert!(!refused(&all, "127.0.0.1") && refused(&all, "::1"));
    }

    #[test]
    fn blocks_are_addresses_with_bits() {
        for wrong in ["", "a", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/-1"] {
            assert_eq!(AddressBlock::parse(wrong), None, "{wrong:?}");
        }
    }
}
