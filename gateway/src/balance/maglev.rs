//! Maglev's table as Envoy builds it (source/extensions/load_balancing_policies/maglev/maglev_lb.cc): a key belongs to the
//! endpoint at its place in a table that every endpoint fills in an order of its own.

use super::hash_key::{xx_hash, xx_hash_with};
use std::net::SocketAddr;

/// Istio's `hostSelectionRetryMaxAttempts`.
const RETRY_DRAWS: u64 = 5;

#[derive(Debug)]
pub(super) struct Maglev {
    table: Vec<u32>,
}

struct Builder {
    host: u32,
    offset: u64,
    skip: u64,
    weight: f64,
    target: f64,
    next: u64,
}

impl Builder {
    fn place(&self, size: u64) -> usize {
        let place = (u128::from(self.offset) + u128::from(self.skip) * u128::from(self.next)) % u128::from(size);
        usize::try_from(place).unwrap_or(0)
    }
}

impl Maglev {
    /// A table of `size` entries, a prime number, over `hosts`, of which each has its share of the weights; there must be at
    /// least one.
    pub(super) fn new(hosts: &[(SocketAddr, f64)], size: u64) -> Self {
        const FREE: u32 = u32::MAX;
        let most = hosts.iter().map(|(_, share)| *share).fold(0.0, f64::max);
        let mut named: Vec<(String, usize)> =
            hosts.iter().enumerate().map(|(index, (address, _))| (address.to_string(), index)).collect();
        // The order decides who takes a place first, and must not depend on who came first.
        named.sort_unstable();
        let mut builders: Vec<Builder> = named
            .iter()
            .map(|(name, index)| Builder {
                host: u32::try_from(*index).unwrap_or(0),
                offset: xx_hash(name.as_bytes()) % size,
                skip: xx_hash_with(1, name.as_bytes()) % (size - 1).max(1) + 1,
                weight: hosts[*index].1,
                target: 0.0,
                next: 0,
            })
            .collect();
        let mut table = vec![FREE; usize::try_from(size).unwrap_or(0)];
        let mut free = table.len();
        let mut round = 0.0;
        while free > 0 && most > 0.0 {
            round += 1.0;
            for builder in &mut builders {
                if free == 0 {
                    break;
                }
                // One with a third of the greatest weight takes a place in every third round.
                if round * builder.weight < builder.target {
                    continue;
                }
                builder.target += most;
                while table[builder.place(size)] != FREE {
                    builder.next += 1;
                }
                table[builder.place(size)] = builder.host;
                builder.next += 1;
                free -= 1;
            }
        }
        Self { table }
    }

    /// The endpoint of `hash`, then those that Envoy looks at for a retry, then those at the places behind the first.
    pub(super) fn walk(&self, hash: u64) -> impl Iterator<Item = u32> {
        let size = self.table.len().max(1) as u64;
        let place = move |hash: u64| usize::try_from(hash % size).unwrap_or(0);
        // `OriginalMaglevTable::chooseHost`.
        let retries = (0..=RETRY_DRAWS).map(move |attempt| place(hash ^ attempt.wrapping_neg()));
        let (before, after) = self.table.split_at(place(hash).min(self.table.len()));
        retries.filter_map(|place| self.table.get(place)).chain(after).chain(before).copied()
    }
}
