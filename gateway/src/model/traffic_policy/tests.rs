//! What a subset and a port inherit.

use super::*;
use std::time::Duration;

fn lb(algorithm: Algorithm) -> Option<LoadBalancer> {
    Some(LoadBalancer { algorithm, ..LoadBalancer::default() })
}

fn pool(max_connections: u32) -> Option<ConnectionPool> {
    Some(ConnectionPool { max_connections: Some(max_connections), ..ConnectionPool::default() })
}

fn hash(name: &str) -> Option<LoadBalancer> {
    let key = Some(HashKey::Query(name.into()));
    lb(Algorithm::ConsistentHash(ConsistentHash { key, table: HashTable::Ring { minimum_size: 1024 } }))
}

fn key(name: &str) -> Option<HashKey> {
    Some(HashKey::Query(name.into()))
}

#[test]
fn a_port_takes_the_place_of_the_whole_policy() {
    let service = TrafficPolicy {
        blocks: PolicyBlocks {
            load_balancer: lb(Algorithm::Random),
            connection_pool: pool(1),
            ..PolicyBlocks::default()
        },
        ports: vec![(80, PolicyBlocks { connection_pool: pool(2), ..PolicyBlocks::default() })],
        tunnel: None,
    };
    let of_port = TrafficPolicy::effective(Some(&service), None, 80);
    assert_eq!(of_port.connection_pool, pool(2));
    assert_eq!(of_port.load_balancer, None, "what the port does not say is default, not the service's");
    assert_eq!(TrafficPolicy::effective(Some(&service), None, 81).load_balancer, lb(Algorithm::Random));
    assert_eq!(TrafficPolicy::effective(None, None, 80), PolicyBlocks::default());
}

#[test]
fn a_subset_inherits_block_by_block() {
    let service = TrafficPolicy {
        blocks: PolicyBlocks {
            load_balancer: lb(Algorithm::Random),
            connection_pool: pool(1),
            tls: Some(ClientTls::NotServed),
            ..PolicyBlocks::default()
        },
        ports: vec![(80, PolicyBlocks { connection_pool: pool(2), ..PolicyBlocks::default() })],
        tunnel: None,
    };
    let subset = TrafficPolicy {
        blocks: PolicyBlocks {
            load_balancer: lb(Algorithm::RoundRobin),
            tls: Some(ClientTls::Disable),
            ..PolicyBlocks::default()
        },
        ports: vec![(82, PolicyBlocks { connection_pool: pool(3), ..PolicyBlocks::default() })],
        tunnel: None,
    };
    let plain = TrafficPolicy::effective(Some(&service), Some(&subset), 81);
    assert_eq!(plain.load_balancer, lb(Algorithm::RoundRobin));
    assert_eq!(plain.connection_pool, pool(1));
    assert_eq!(plain.tls, Some(ClientTls::Disable));
    let service_port = TrafficPolicy::effective(Some(&service), Some(&subset), 80);
    assert_eq!((service_port.load_balancer, service_port.connection_pool), (lb(Algorithm::RoundRobin), pool(2)));
    let subset_port = TrafficPolicy::effective(Some(&service), Some(&subset), 82);
    assert_eq!(subset_port, PolicyBlocks { connection_pool: pool(3), ..PolicyBlocks::default() });
    assert_eq!(TrafficPolicy::effective(None, Some(&subset), 81), subset.blocks);
}

#[test]
fn the_nearest_hash_key_wins_and_a_port_s_only_where_the_destination_names_it() {
    let blocks = |load_balancer| PolicyBlocks { load_balancer, ..PolicyBlocks::default() };
    let service = TrafficPolicy {
        blocks: blocks(hash("service")),
        ports: vec![(80, blocks(hash("service-port")))],
        tunnel: None,
    };
    let subset =
        TrafficPolicy { blocks: blocks(hash("subset")), ports: vec![(80, blocks(hash("subset-port")))], tunnel: None };
    let of = |service, subset, port| TrafficPolicy::hash(service, subset, port).flatten();
    assert_eq!(of(Some(&service), Some(&subset), Some(80)), key("subset-port"));
    assert_eq!(of(Some(&service), Some(&subset), None), key("subset"));
    assert_eq!(of(Some(&service), None, Some(80)), key("service-port"));
    assert_eq!(of(Some(&service), None, Some(81)), key("service"));
    assert_eq!(of(Some(&service), None, None), key("service"));
    assert_eq!(of(None, None, None), None);
}

#[test]
fn the_longest_ejection_is_five_minutes_or_the_first_when_that_is_longer() {
    let of = |seconds| OutlierDetection {
        consecutive_5xx: 5,
        consecutive_gateway: 0,
        consecutive_local_origin: None,
        interval: Duration::from_secs(10),
        base_ejection_time: Duration::from_secs(seconds),
        max_ejection_percent: 10,
        min_health_percent: 0,
    };
    assert_eq!(of(30).max_ejection_time(), Duration::from_secs(300));
    assert_eq!(of(400).max_ejection_time(), Duration::from_secs(400));
}

/// Unlike the others, it is no setting of ports: a port's own settings take it away, a subset's do not.
#[test]
fn a_port_of_a_subset_leaves_the_services_proxy_protocol() {
    let ports = vec![(80, PolicyBlocks { connection_pool: pool(2), ..PolicyBlocks::default() })];
    let of = |proxy_protocol, ports: &[(u16, PolicyBlocks)]| TrafficPolicy {
        blocks: PolicyBlocks { proxy_protocol, ..PolicyBlocks::default() },
        ports: ports.to_vec(),
        tunnel: None,
    };
    let (first, second) = (Some(ProxyProtocol::V1), Some(ProxyProtocol::V2));
    let effective = |service: &TrafficPolicy, subset: Option<&TrafficPolicy>| {
        TrafficPolicy::effective(Some(service), subset, 80).proxy_protocol
    };
    assert_eq!(effective(&of(first, &ports), None), None);
    assert_eq!(effective(&of(first, &[]), Some(&of(None, &ports))), first);
    assert_eq!(effective(&of(first, &[]), Some(&of(second, &[]))), second);
    assert_eq!(effective(&of(first, &[]), Some(&of(second, &ports))), first, "the subset's port has none of its own");
}

#[test]
fn subsets_pass_on_what_their_service_does_or_their_own_policy_asks_for() {
    let blocks = |algorithm| PolicyBlocks { load_balancer: lb(algorithm), ..PolicyBlocks::default() };
    let of =
        |algorithm, ports: Vec<(u16, PolicyBlocks)>| TrafficPolicy { blocks: blocks(algorithm), ports, tunnel: None };
    let passes = |service: &TrafficPolicy, subset: &TrafficPolicy| {
        TrafficPolicy::effective(Some(service), Some(subset), 80).passes()
    };
    let (passing, random) = (of(Algorithm::Passthrough, Vec::new()), of(Algorithm::Random, Vec::new()));
    assert!(passes(&passing, &random) && passes(&random, &passing) && !passes(&random, &random));
    let but_for_port = of(Algorithm::Passthrough, vec![(80, blocks(Algorithm::Random))]);
    assert!(!passes(&but_for_port, &random), "the service's settings of the port are what its cluster is made of");
    assert!(passes(&random, &but_for_port), "nobody looks at the ports of a subset");
    let for_port = of(Algorithm::Random, vec![(80, blocks(Algorithm::Passthrough))]);
    assert!(passes(&for_port, &random) && passes(&random, &for_port));
}
