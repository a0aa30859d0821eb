//! The virtual hosts of a listener, found by the request's authority.

use super::snapshot::VirtualHost;
use hashbrown::HashMap;
use std::sync::Arc;

/// Exact names, `*.suffix`, `*`: the most specific wins, and there is no second choice
/// (`RouteMatcher::findVirtualHost` in envoy's source/common/router/config_impl.cc).
#[derive(Clone, Debug, Default)]
pub(super) struct HostTable {
    /// Position in `hosts` by domain; shared between snapshots as long as no domain comes or goes.
    positions: Arc<Positions>,
    hosts: Vec<Arc<VirtualHost>>,
}

#[derive(Debug, Default)]
struct Positions {
    exact: HashMap<Arc<str>, u32, foldhash::fast::FixedState>,
    /// By what follows the `*`, with its dot.
    suffix: HashMap<Arc<str>, u32, foldhash::fast::FixedState>,
    any: Option<u32>,
}

impl HostTable {
    /// A table of `hosts`; of two with one domain the later is found.
    pub(super) fn new(hosts: Vec<Arc<VirtualHost>>) -> Self {
        let mut positions = Positions::default();
        for (position, host) in (0..).zip(&hosts) {
            let domain = host.domain.as_str();
            match domain.strip_prefix('*') {
                Some("") => positions.any = Some(position),
                Some(suffix) => _ = positions.suffix.insert(suffix.into(), position),
                None => _ = positions.exact.insert(host.domain.shared(), position),
            }
        }
        Self { positions: Arc::new(positions), hosts }
    }

    /// The same table with some hosts replaced by newer ones of the same domain.
    ///
    /// Returns `None` when a domain is not in the table yet: then [`new`](Self::new) is due.
    pub(super) fn with_replaced(&self, newer: impl IntoIterator<Item = Arc<VirtualHost>>) -> Option<Self> {
        let mut table = self.clone();
        for host in newer {
            let position = self.positions.of_domain(host.domain.as_str())?;
            table.hosts[position as usize] = host;
        }
        Some(table)
    }

    pub(super) fn hosts(&self) -> &[Arc<VirtualHost>] {
        &self.hosts
    }

    /// The virtual host for an authority as sent: port stripped, case ignored.
    pub(super) fn find(&self, authority: &str) -> Option<&VirtualHost> {
        let host = without_port(authority);
        let position = if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
            self.positions.find(&host.to_ascii_lowercase())
        } else {
            self.positions.find(host)
        };
        position.map(|position| &*self.hosts[position as usize])
    }
}

impl Positions {
    fn of_domain(&self, domain: &str) -> Option<u32> {
        match domain.strip_prefix('*') {
            Some("") => self.any,
            Some(suffix) => self.suffix.get(suffix).copied(),
            None => self.exact.get(domain).copied(),
        }
    }

    fn find(&self, host: &str) -> Option<u32> {
        if let Some(&position) = self.exact.get(host) {
            return Some(position);
        }
        if !self.suffix.is_empty() {
            // The first dot gives the longest suffix. A suffix needs something before it: `.x.com` is not under `*.x.com`.
            let dots = host.bytes().enumerate().skip(1).filter(|&(_, byte)| byte == b'.');
            for (dot, _) in dots {
                if let Some(&position) = self.suffix.get(&host[dot..]) {
                    return Some(position);
                }
            }
        }
        self.any
    }
}

/// What stands before the last colon, unless that is inside of a bracketed IPv6 address; whatever stands behind it
/// (`HeaderUtility::getPortStart` in envoy's source/common/http/header_utility.cc does not look).
fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => host,
        _ => authority,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_stripped_and_nothing_else() {
        for (authority, host) in [
            ("a.com", "a.com"),
            ("a.com:8080", "a.com"),
            ("a.com:", "a.com"),
            ("a.com:http", "a.com"),
            ("a.com:1:2", "a.com:1"),
            ("a.com.:80", "a.com."),
            ("[::1]:80", "[::1]"),
            ("[::1]", "[::1]"),
            ("::1", ":"),
            (":80", ""),
            ("", ""),
        ] {
            assert_eq!(without_port(authority), host, "{authority}");
        }
    }
}
