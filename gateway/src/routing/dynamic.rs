//! Clusters without endpoints of their own: a request goes where its own host is (resolution DYNAMIC_DNS, Envoy's dynamic
//! forward proxy).

use super::{address_guard::AddressGuard, world::World};
use crate::model::host::HostPattern;
use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

/// A port of a ServiceEntry, and what a request behind it may ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dynamic {
    covers: HostPattern,
    /// Of hosts that name none.
    port: u16,
    guard: AddressGuard,
    api_servers: BTreeSet<IpAddr>,
}

/// Where a request wants to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// In lower case, without a final dot.
    pub name: Arc<str>,
    pub port: u16,
}

impl Dynamic {
    /// For the hosts that `covers` covers, of which those without a port lead to port 443 where TLS is begun, and to 80 where
    /// it is not (`Cluster::LoadBalancer::chooseHost` in Envoy's source/extensions/clusters/dynamic_forward_proxy/cluster.cc).
    pub(super) fn new(covers: HostPattern, begins_tls: bool, guard: &AddressGuard, world: &World) -> Self {
        let port = if begins_tls { 443 } else { 80 };
        Self { covers, port, guard: guard.clone(), api_servers: world.api_servers().collect() }
    }

    /// Where the `authority` of a request leads; `None` for a host that the entry does not cover, which is not resolved for
    /// anybody.
    pub fn wanted(&self, authority: &str) -> Option<Wanted> {
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().ok().filter(|port| *port > 0)?),
            None => (authority, self.port),
        };
        let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        let is_name = name.len() <= 253
            && name.split('.').all(|label| {
                let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
                (1..=63).contains(&label.len()) && label.bytes().all(is_letter)
            });
        (is_name && HostPattern::new(&name).is_subset_of(&self.covers)).then(|| Wanted { name: name.into(), port })
    }

    /// Whether a request may be sent to what a name turned out to mean.
    pub fn allows(&self, address: IpAddr) -> bool {
        self.guard.refuses_beside(address, |address| self.api_servers.contains(&address)).is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dynamic(begins_tls: bool) -> Dynamic {
        Dynamic::new(HostPattern::new("*.example.com"), begins_tls, &AddressGuard::default(), &World::default())
    }

    #[test]
    fn only_what_is_covered_is_resolved() {
        let wanted = |authority: &str| dynamic(false).wanted(authority).map(|w| format!("{} {}", w.name, w.port));
        for (authority, expected) in [
            ("a.example.com", Some("a.example.com 80")),
            ("A.b.Example.COM.", Some("a.b.example.com 80")),
            ("a.example.com:8443", Some("a.example.com 8443")),
            ("example.com", None),
            ("a.example.org", None),
            ("a.example.com.evil.test", None),
            (".example.com", None),
            ("a..example.com", None),
            ("a b.example.com", None),
            ("a.example.com:0", None),
            ("a.example.com:70000", None),
            ("a.example.com:", None),
            ("127.0.0.1", None),
            ("[::1]:80", None),
            ("", None),
        ] {
            assert_eq!(wanted(authority).as_deref(), expected, "{authority}");
        }
        let long = format!("{}.example.com", "a".repeat(64));
        assert_eq!(wanted(&long), None);
    }

    #[test]
    fn tls_has_a_port_of_its_own() {
        assert_eq!(dynamic(true).wanted("a.example.com").map(|wanted| wanted.port), Some(443));
    }

    #[test]
    fn what_only_the_node_reaches_is_refused() {
        let allows = |address: &str| dynamic(false).allows(address.parse().unwrap());
        assert!(!allows("127.0.0.1") && !allows("169.254.169.254") && allows("192.0.2.1"));
    }
}
