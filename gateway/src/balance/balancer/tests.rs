//! Which endpoint is chosen.

mod levels;

use super::*;
use crate::{
    balance::load::Load,
    balance::memory::Connecting,
    model::traffic_policy::{ConsistentHash, HashTable, OutlierDetection},
};
use proptest::prelude::*;
use std::{collections::BTreeMap, time::Duration};

fn endpoint(host: u32) -> Arc<Endpoint> {
    let address = SocketAddr::from((std::net::Ipv4Addr::from(0x0a00_0000 + host), 8080));
    Arc::new(Endpoint { address, pod: None, node: None, zone: None, load: Load::default() })
}

fn balancer(algorithm: Algorithm, weights: &[u32]) -> Balancer {
    let endpoints: Vec<_> = (0u32..).zip(weights).map(|(host, weight)| (endpoint(host), *weight)).collect();
    Balancer::new(
        LoadBalancer { algorithm, ..LoadBalancer::default() },
        &endpoints,
        &Layout::default(),
        Arc::new(ClusterMemory::new(1, Connecting::default(), None)),
    )
}

fn hashing(table: HashTable, hosts: impl Iterator<Item = u32>) -> Balancer {
    let endpoints: Vec<_> = hosts.map(|host| (endpoint(host), 1)).collect();
    let algorithm = Algorithm::ConsistentHash(ConsistentHash { key: None, table });
    Balancer::new(
        LoadBalancer { algorithm, ..LoadBalancer::default() },
        &endpoints,
        &Layout::default(),
        Arc::new(ClusterMemory::new(1, Connecting::default(), None)),
    )
}

/// SplitMix64: a failing draw can be replayed.
fn numbers(mut state: u64) -> impl FnMut() -> u64 {
    move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

const NOTHING: Choice<'static> = Choice { now: 1, hash: None, tried: &[], left: &[] };

fn histogram(balancer: &Balancer, draws: usize, choice: Choice<'_>) -> Vec<u32> {
    let mut random = numbers(20_181_121);
    let mut counts = vec![0; balancer.hosts.len()];
    for _ in 0..draws {
        counts[balancer.choose(choice, &mut random).expect("there are endpoints")] += 1;
    }
    counts
}

fn chi_squared(counts: &[u32], weights: &[u32]) -> f64 {
    let (draws, total) = (counts.iter().sum::<u32>(), weights.iter().sum::<u32>());
    let expected = |weight: u32| f64::from(draws) * f64::from(weight) / f64::from(total);
    counts
        .iter()
        .zip(weights)
        .map(|(count, weight)| (f64::from(*count) - expected(*weight)).powi(2) / expected(*weight))
        .sum()
}

#[test]
fn every_algorithm_but_random_follows_the_weights() {
    // χ² of 3 degrees of freedom exceeds 16.27 with probability 0.001; the sequence is fixed.
    for weights in [[1, 1, 1, 1], [1, 2, 3, 4], [10, 1, 1, 1]] {
        for algorithm in [Algorithm::LeastRequest, Algorithm::RoundRobin, Algorithm::Random] {
            let counts = histogram(&balancer(algorithm.clone(), &weights), 100_000, NOTHING);
            let wanted = if algorithm == Algorithm::Random { [1; 4] } else { weights };
            let chi = chi_squared(&counts, &wanted);
            assert!(chi < 16.27, "{algorithm:?} {weights:?}: {counts:?}, χ² {chi}");
        }
    }
}

#[test]
fn a_round_robin_gives_everybody_a_turn() {
    let balancer = balancer(Algorithm::RoundRobin, &[1, 1, 1]);
    assert_eq!(histogram(&balancer, 300, NOTHING), [100, 100, 100]);
    let mut random = numbers(1);
    let turns: Vec<_> = (0..4).filter_map(|_| balancer.choose(NOTHING, &mut random)).collect();
    assert_eq!(turns, [0, 1, 2, 0]);
}

/// What would be its turns are nobody's in particular.
#[test]
fn whoever_is_ejected_leaves_its_share_to_all() {
    for algorithm in [Algorithm::LeastRequest, Algorithm::RoundRobin, Algorithm::Random] {
        let balancer = ejecting_from(algorithm.clone(), 4, 0);
        balancer.observe(1, Observed::Status(503), 1);
        let counts = histogram(&balancer, 3_000, NOTHING);
        assert_eq!(counts[1], 0, "{algorithm:?}");
        assert!(
            counts.iter().enumerate().all(|(index, count)| index == 1 || (900..1100).contains(count)),
            "{counts:?}"
        );
    }
}

#[test]
fn the_busy_get_less() {
    for weights in [[1, 1], [2, 1]] {
        let balancer = balancer(Algorithm::LeastRequest, &weights);
        let idle = histogram(&balancer, 10_000, NOTHING)[0];
        (0..20).for_each(|_| balancer.hosts[0].endpoint.load.begin());
        assert!(histogram(&balancer, 10_000, NOTHING)[0] < idle / 2);
    }
}

#[test]
fn passthrough_and_no_endpoints_give_none() {
    let mut random = numbers(1);
    assert_eq!(balancer(Algorithm::Passthrough, &[1]).choose(NOTHING, &mut random), None);
    let ring = HashTable::Ring { minimum_size: 16 };
    assert_eq!(hashing(ring, 0..0).choose(NOTHING, &mut random), None);
    for algorithm in [Algorithm::LeastRequest, Algorithm::RoundRobin, Algorithm::Random] {
        assert_eq!(balancer(algorithm, &[]).choose(NOTHING, &mut random), None);
    }
}

#[test]
fn a_retry_goes_elsewhere_while_there_is_an_elsewhere() {
    let ring = Algorithm::ConsistentHash(ConsistentHash { key: None, table: HashTable::Ring { minimum_size: 64 } });
    for algorithm in [Algorithm::LeastRequest, Algorithm::RoundRobin, Algorithm::Random, ring] {
        let balancer = balancer(algorithm.clone(), &[1, 1, 1]);
        let tried = [balancer.hosts[0].endpoint.address, balancer.hosts[2].endpoint.address];
        let counts = histogram(&balancer, 500, Choice { tried: &tried, hash: Some(7), ..NOTHING });
        assert_eq!(counts, [0, 500, 0], "{algorithm:?}");
        let all: Vec<_> = balancer.hosts.iter().map(|host| host.endpoint.address).collect();
        assert!(balancer.choose(Choice { tried: &all, ..NOTHING }, &mut numbers(1)).is_some());
    }
}

/// The place of each of 20,000 keys, by address.
fn places(balancer: &Balancer) -> Vec<SocketAddr> {
    let mut random = numbers(5);
    let mut place = |key: u64| {
        let hash = Some(super::super::hash_key::xx_hash(&key.to_le_bytes()));
        balancer.hosts[balancer.choose(Choice { hash, ..NOTHING }, &mut random).expect("there are endpoints")]
            .endpoint
            .address
    };
    (0..20_000).map(&mut place).collect()
}

#[test]
fn few_keys_move_when_an_endpoint_comes_or_goes() {
    // Envoy's ring has so many points in all, so that everybody gives points up for one more: about twice the keys of the one
    // that comes move.
    let tables = [(HashTable::Maglev { size: 65_537 }, 1.2), (HashTable::Ring { minimum_size: 100_000 }, 2.1)];
    for (table, most) in tables {
        for hosts in [2u32, 5, 20] {
            let before = places(&hashing(table, 0..hosts));
            let moved = |after: &[SocketAddr]| before.iter().zip(after).filter(|(a, b)| a != b).count() as f64;
            let more = moved(&places(&hashing(table, 0..=hosts)));
            let share = most / f64::from(hosts + 1) * before.len() as f64;
            assert!(more <= share, "{table:?}: {more} of {share} keys moved for one beside {hosts}");
            let fewer = moved(&places(&hashing(table, 1..hosts)));
            let share = most / f64::from(hosts) * before.len() as f64;
            assert!(fewer <= share, "{table:?}: {fewer} of {share} keys moved when one of {hosts} went");
        }
    }
}

proptest! {
    #[test]
    fn a_key_stays_with_its_endpoint_when_others_go(hash in any::<u64>(), hosts in 2u32..30, gone in 0u32..30, maglev in any::<bool>()) {
        let table = if maglev { HashTable::Maglev { size: 1009 } } else { HashTable::Ring { minimum_size: 1024 } };
        let all = hashing(table, 0..hosts);
        let choice = Choice { hash: Some(hash), ..NOTHING };
        let place = all.choose(choice, &mut numbers(1)).expect("there are endpoints");
        prop_assert_eq!(all.choose(choice, &mut numbers(2)), Some(place), "the same key, the same place");
        // On a ring only the keys of the one that is gone move, whatever else changes about the number of points.
        let gone = gone % hosts;
        let tried = [all.hosts[gone as usize].endpoint.address];
        let after = all.choose(Choice { tried: &tried, ..choice }, &mut numbers(1)).expect("there are others");
        prop_assert_eq!(after != place, place == gone as usize);
    }
}

fn ejecting(hosts: u32, min_health_percent: u32) -> Balancer {
    ejecting_from(Algorithm::default(), hosts, min_health_percent)
}

/// Ejects at the first failure, and everybody if need be.
fn ejecting_at_once(min_health_percent: u32) -> OutlierDetection {
    OutlierDetection {
        consecutive_5xx: 1,
        consecutive_gateway: 0,
        consecutive_local_origin: None,
        interval: Duration::from_secs(10),
        base_ejection_time: Duration::from_secs(30),
        max_ejection_percent: 100,
        min_health_percent,
    }
}

fn ejecting_from(algorithm: Algorithm, hosts: u32, min_health_percent: u32) -> Balancer {
    let outliers = ejecting_at_once(min_health_percent);
    let endpoints: Vec<_> = (0..hosts).map(|host| (endpoint(host), 1)).collect();
    Balancer::new(
        LoadBalancer { algorithm, ..LoadBalancer::default() },
        &endpoints,
        &Layout::default(),
        Arc::new(ClusterMemory::new(1, Connecting::default(), Some(outliers))),
    )
}

#[test]
fn the_ejected_get_nothing_and_with_all_ejected_nobody_does() {
    let balancer = ejecting(4, 0);
    balancer.observe(1, Observed::Status(500), 1);
    balancer.observe(2, Observed::Failed, 1);
    assert!(balancer.is_ejected(1) && balancer.is_ejected(2));
    let counts = histogram(&balancer, 10_000, NOTHING);
    assert_eq!((counts[1], counts[2]), (0, 0));
    assert!(chi_squared(&[counts[0], counts[3]], &[1, 1]) < 10.83, "{counts:?}");
    balancer.observe(0, Observed::Failed, 1);
    balancer.observe(3, Observed::Failed, 1);
    assert_eq!(balancer.choose(NOTHING, &mut numbers(1)), None, "no panic without minHealthPercent");
    let later = Choice { now: 30_001, ..NOTHING };
    assert!(balancer.choose(later, &mut numbers(1)).is_some(), "their time is over");
}

#[test]
fn too_few_healthy_ones_end_the_ejection_of_all() {
    let balancer = ejecting(4, 50);
    for host in 0..2 {
        balancer.observe(host, Observed::Failed, 1);
    }
    assert_eq!(histogram(&balancer, 1_000, NOTHING)[..2], [0, 0], "half of them are healthy, which is enough");
    balancer.observe(2, Observed::Failed, 1);
    assert!(histogram(&balancer, 1_000, NOTHING).iter().all(|count| *count > 0), "a quarter is not");
}

#[test]
fn newcomers_begin_with_little() {
    let warmup = Some(Warmup { duration: Duration::from_secs(100), minimum_percent: 10.0, aggression: 1.0 });
    for algorithm in [Algorithm::LeastRequest, Algorithm::RoundRobin] {
        let settings = LoadBalancer { algorithm, warmup, locality: None };
        let memory = Arc::new(ClusterMemory::new(1, Connecting::default(), None));
        let of = |hosts: u32| -> Balancer {
            let endpoints: Vec<_> = (0..hosts).map(|host| (endpoint(host), 1)).collect();
            Balancer::new(settings.clone(), &endpoints, &Layout::default(), Arc::clone(&memory))
        };
        assert!(of(2).choose(NOTHING, &mut numbers(1)).is_some());
        let grown = of(3);
        let at = |now| {
            let counts = histogram(&grown, 21_000, Choice { now, ..NOTHING });
            f64::from(counts[2]) / f64::from(counts[0])
        };
        assert!((0.05..0.15).contains(&at(200_000)), "at first a tenth");
        assert!((0.4..0.6).contains(&at(250_000)), "half after half of the time");
        assert!((0.9..1.1).contains(&at(300_000)), "all at the end");
    }
}

#[test]
fn a_place_on_the_ring_is_envoy_s() {
    // Two endpoints with four points each: 10.0.0.0:8080_0 to _3 and 10.0.0.1:8080_0 to _3.
    let balancer = hashing(HashTable::Ring { minimum_size: 8 }, 0..2);
    let mut points = BTreeMap::new();
    for host in 0..2usize {
        for point in 0..4 {
            let key = format!("{}_{point}", balancer.hosts[host].endpoint.address);
            points.insert(super::super::hash_key::xx_hash(key.as_bytes()), host);
        }
    }
    for (point, host) in &points {
        for hash in [*point, point.wrapping_sub(1)] {
            let place = balancer.choose(Choice { hash: Some(hash), ..NOTHING }, &mut numbers(1));
            assert_eq!(place, Some(*host), "the next point at or after the key");
        }
    }
    let beyond = points.keys().next_back().map(|last| last + 1);
    assert_eq!(balancer.choose(Choice { hash: beyond, ..NOTHING }, &mut numbers(1)), points.values().next().copied());
}

#[test]
fn a_retry_looks_where_envoy_looks_in_the_table() {
    let balancer = hashing(HashTable::Maglev { size: 1009 }, 0..3);
    let place = |hash: u64, tried: &[SocketAddr]| {
        balancer.choose(Choice { hash: Some(hash), tried, ..NOTHING }, &mut numbers(1)).expect("an endpoint")
    };
    for hash in (0..1000u64).map(|step| step.wrapping_mul(0x9e37_79b9_7f4a_7c15)) {
        let first = place(hash, &[]);
        let tried = [balancer.hosts[first].endpoint.address];
        // `hash ^= ~0ULL - attempt + 1` until the place is another endpoint's.
        let expected = (1..=5u64).map(|attempt| place(hash ^ (!0 - attempt + 1), &[])).find(|found| *found != first);
        if let Some(expected) = expected {
            assert_eq!(place(hash, &tried), expected, "{hash:#x}");
        }
    }
}
