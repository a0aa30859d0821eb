//! Endpoints in levels and areas.

use super::*;
use crate::balance::{levels::Area, memory::Connecting};

fn area(endpoints: usize, weight: u32) -> Area {
    Area { endpoints, absent: 0, weight }
}

/// Each level as its areas. Outlier detection ejects at the first failure.
fn layered(algorithm: Algorithm, levels: Vec<Vec<Area>>, by_area: bool) -> Balancer {
    let hosts: usize = levels.iter().flatten().map(|area| area.endpoints).sum();
    let endpoints: Vec<_> = (0u32..).take(hosts).map(|host| (endpoint(host), 1)).collect();
    let outliers = ejecting_at_once(0);
    let memory = Arc::new(ClusterMemory::new(1, Connecting::default(), Some(outliers)));
    let settings = LoadBalancer { algorithm, ..LoadBalancer::default() };
    Balancer::new(settings, &endpoints, &Layout { levels, by_area }, memory)
}

fn algorithms() -> Vec<Algorithm> {
    let ring = ConsistentHash { key: None, table: HashTable::Ring { minimum_size: 1024 } };
    let maglev = ConsistentHash { key: None, table: HashTable::Maglev { size: 1009 } };
    vec![
        Algorithm::LeastRequest,
        Algorithm::RoundRobin,
        Algorithm::Random,
        Algorithm::ConsistentHash(ring),
        Algorithm::ConsistentHash(maglev),
    ]
}

/// With one of two ejected a level takes 70 %: 1.4 times what it has.
#[test]
fn a_level_that_fails_hands_on_what_it_cannot_take() {
    for algorithm in algorithms() {
        let balancer = layered(algorithm, vec![vec![area(2, 2)], vec![area(2, 2)]], false);
        assert_eq!(histogram(&balancer, 1_000, NOTHING)[2..], [0, 0], "{balancer:?}");
        balancer.observe(0, Observed::Failed, 1);
        let counts = histogram(&balancer, 10_000, NOTHING);
        assert_eq!(counts[0], 0);
        assert!(chi_squared(&[counts[1], counts[2] + counts[3]], &[70, 30]) < 15.0, "{counts:?} {balancer:?}");
        balancer.observe(1, Observed::Failed, 1);
        assert_eq!(histogram(&balancer, 1_000, NOTHING)[..2], [0, 0], "{balancer:?}");
    }
}

#[test]
fn a_level_whose_endpoints_are_not_ready_takes_less() {
    let level = vec![Area { endpoints: 1, absent: 1, weight: 2 }];
    let balancer = layered(Algorithm::Random, vec![level, vec![area(1, 1)]], false);
    let counts = histogram(&balancer, 10_000, NOTHING);
    assert!(chi_squared(&counts, &[70, 30]) < 15.0, "{counts:?}");
}

#[test]
fn areas_have_the_shares_of_their_weights() {
    for algorithm in algorithms() {
        let ring = matches!(algorithm, Algorithm::ConsistentHash(_));
        let balancer = layered(algorithm, vec![vec![area(1, 70), area(3, 30)]], true);
        let counts = histogram(&balancer, 10_000, NOTHING);
        let shares = [counts[0], counts[1..].iter().sum()];
        // A ring is as even as its points.
        let most = if ring { 60.0 } else { 15.0 };
        assert!(chi_squared(&shares, &[70, 30]) < most, "{counts:?} {balancer:?}");
    }
    let balancer = layered(Algorithm::Random, vec![vec![area(1, 50), area(2, 50)]], true);
    balancer.observe(0, Observed::Failed, 1);
    assert_eq!(histogram(&balancer, 1_000, NOTHING)[0], 0, "an area without healthy endpoints is worth nothing");
}

/// `update_frequency` is 2: the second attempt stays, the third goes elsewhere.
#[test]
fn a_retry_leaves_the_levels_it_has_been_to() {
    let balancer = layered(Algorithm::LeastRequest, vec![vec![area(2, 2)], vec![area(1, 1)], vec![area(1, 1)]], false);
    let address = |host: u32| endpoint(host).address;
    let after = |left: &[SocketAddr]| {
        let counts = histogram(&balancer, 200, Choice { left, ..NOTHING });
        (0..counts.len()).filter(|host| counts[*host] > 0).collect::<Vec<_>>()
    };
    assert_eq!(after(&[address(0)]), [0, 1]);
    assert_eq!(after(&[address(0), address(1)]), [2]);
    assert_eq!(after(&[address(0), address(1), address(2)]), [2], "until two more have been tried");
    assert_eq!(after(&[address(0), address(1), address(2), address(2)]), [3]);
    assert_eq!(after(&[address(0), address(2), address(3), address(3)]), [0, 1], "nothing is left: from the beginning");
}

#[test]
fn who_was_tried_is_avoided_within_the_level() {
    let balancer = layered(Algorithm::LeastRequest, vec![vec![area(2, 2)], vec![area(1, 1)]], false);
    let tried = [endpoint(0).address];
    assert_eq!(histogram(&balancer, 100, Choice { tried: &tried, ..NOTHING }), [0, 100, 0]);
    let tried = [endpoint(0).address, endpoint(1).address];
    let counts = histogram(&balancer, 100, Choice { tried: &tried, ..NOTHING });
    assert_eq!(counts[2], 0, "as in Envoy, only retryRemoteLocalities leads further");
}
