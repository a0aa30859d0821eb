//! Ketama's ring as Envoy builds it (source/extensions/load_balancing_policies/ring_hash/ring_hash_lb.cc): every endpoint
//! has points on it, and a key belongs to the next point.

use super::hash_key::xx_hash;
use std::{fmt::Write as _, net::SocketAddr};

/// Envoy's `DefaultMaxRingSize`.
const MOST_POINTS: f64 = 8_388_608.0;

#[derive(Debug)]
pub(super) struct Ring {
    /// Hash and endpoint, in order of the hash.
    points: Vec<(u64, u32)>,
}

impl Ring {
    /// A ring over `hosts`, of which each has its share of the weights; there must be at least one.
    pub(super) fn new(hosts: &[(SocketAddr, f64)], minimum_size: u64) -> Self {
        let least = hosts.iter().map(|(_, share)| *share).fold(f64::INFINITY, f64::min);
        // The endpoint with the least weight gets a whole number of points.
        let scale = ((least * minimum_size as f64).ceil() / least).min(MOST_POINTS);
        let mut points = Vec::new();
        let (mut have, mut want) = (0.0, 0.0);
        let mut key = String::new();
        for (index, (address, share)) in hosts.iter().enumerate() {
            key.clear();
            let _written = write!(key, "{address}_").is_ok();
            let name = key.len();
            want += scale * share;
            for i in 0u64.. {
                if have >= want {
                    break;
                }
                key.truncate(name);
                let _written = write!(key, "{i}").is_ok();
                points.push((xx_hash(key.as_bytes()), u32::try_from(index).unwrap_or(u32::MAX)));
                have += 1.0;
            }
        }
        points.sort_unstable_by_key(|(hash, _)| *hash);
        points.shrink_to_fit();
        Self { points }
    }

    /// The endpoints in the order in which they follow `hash` on the ring; the same one comes up many times.
    pub(super) fn walk(&self, hash: u64) -> impl Iterator<Item = u32> {
        let start = self.points.partition_point(|(point, _)| *point < hash);
        let (before, after) = self.points.split_at(start);
        after.iter().chain(before).map(|(_, host)| *host)
    }
}
