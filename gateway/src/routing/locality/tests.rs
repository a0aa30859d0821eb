//! Levels as Istio's own tests expect them (pilot/pkg/networking/core/loadbalancer/loadbalancer_test.go).

use super::*;
use crate::{
    model::{
        locality_policy::{FailoverLabel, TrafficDistribution},
        object::Labels,
        service_entry::EntryEndpoint,
    },
    routing::place::Origin,
    routing::world::{CompileSettings, World},
};

/// An endpoint `locality`, or `locality label=value`; with `!` before it, one that is not ready.
fn endpoints(of: &[&str]) -> Vec<EntryEndpoint> {
    let read = |text: &&str| {
        let (locality, label) =
            text.trim_start_matches('!').split_once(' ').unwrap_or_else(|| (text.trim_start_matches('!'), ""));
        let labels: Labels =
            label.split_once('=').map(|(name, value)| (name.into(), value.into())).into_iter().collect();
        EntryEndpoint {
            index: 0,
            address: None,
            name: None,
            ports: Vec::new(),
            labels,
            weight: 1,
            locality: Locality::parse(locality),
        }
    };
    of.iter().map(read).collect()
}

/// The levels, from `r1/z1/s1`, each as the endpoints of its areas with the areas' weights.
fn levels(of: &[&str], policy: &LocalityPolicy) -> Vec<String> {
    let world = World::default();
    let labels = [("topology.istio.io/locality".into(), "r1/z1/s1".into()), ("version".into(), "v1".into())];
    let settings = CompileSettings { gateway_labels: labels.into(), node: "n1".into(), ..CompileSettings::default() };
    let made = endpoints(of);
    let settlers = made.iter().zip(of).map(|(endpoint, text)| Settler {
        endpoint: (!text.starts_with('!')).then_some(*text),
        place: Place::of(Origin::Entry(endpoint), &world),
        weight: endpoint.weight,
    });
    let (endpoints, layout) = settle(settlers.collect(), policy, &Place::of_gateway(&world, &settings));
    let mut rest = endpoints.iter().map(|(text, _)| *text);
    if layout.levels.is_empty() {
        return vec![rest.collect::<Vec<_>>().join(",")];
    }
    let mut shown = Vec::new();
    for areas in &layout.levels {
        let areas: Vec<String> = areas
            .iter()
            .map(|area| {
                let names: Vec<&str> = rest.by_ref().take(area.endpoints).collect();
                let absent = if area.absent > 0 { format!("!{}", area.absent) } else { String::new() };
                let weight = if layout.by_area { format!("={}", area.weight) } else { String::new() };
                format!("{}{absent}{weight}", names.join(","))
            })
            .collect();
        shown.push(areas.join(" "));
    }
    shown
}

fn failover(labels: &[&str], regions: &[(&str, &str)]) -> LocalityPolicy {
    let label = |text: &&str| {
        let (name, value) = text.split_once('=').map_or((*text, None), |(name, value)| (name, Some(value.into())));
        FailoverLabel { name: name.into(), value }
    };
    LocalityPolicy::Failover(Failover {
        labels: labels.iter().map(label).collect(),
        regions: regions.iter().map(|(from, to)| ((*from).into(), (*to).into())).collect(),
        is_forced: false,
    })
}

const ALL: [&str; 5] = ["r1/z1/s1", "r1/z1/s2", "r1/z2", "r2/z1", "r3/z1"];

#[test]
fn nearer_endpoints_come_first() {
    let default = failover(&[], &[]);
    assert_eq!(levels(&ALL, &default), ["r1/z1/s1", "r1/z1/s2", "r1/z2", "r2/z1 r3/z1"]);
    assert_eq!(levels(&["r3/z1", "r1/z2"], &default), ["r1/z2", "r3/z1"], "levels have no gaps");
    assert_eq!(levels(&["r2/z1", "r2/z1"], &default), ["r2/z1,r2/z1"], "one place needs no levels");
    assert_eq!(levels(&[""], &default), [""]);
}

#[test]
fn a_region_fails_over_to_the_one_that_is_named() {
    let to_r3 = failover(&[], &[("r2", "r1"), ("r1", "r3")]);
    assert_eq!(levels(&ALL, &to_r3), ["r1/z1/s1=1", "r1/z1/s2=1", "r1/z2=1", "r3/z1=1", "r2/z1=1"]);
    let of_others = failover(&[], &[("r2", "r1")]);
    assert_eq!(levels(&ALL[2..], &of_others), ["r1/z2=1", "r2/z1=1 r3/z1=1"]);
}

#[test]
fn labels_that_agree_come_first() {
    let of = ["r2/z1 version=v1", "r1/z1/s1 version=v2", "r1/z1/s1 version=v1", "r1/z2 version=v1"];
    let by = |labels: &[&str]| levels(&of, &failover(labels, &[]));
    let (version, region) = ("version", "topology.kubernetes.io/region");
    let same = "r1/z1/s1 version=v1=1 r1/z2 version=v1=1";
    assert_eq!(by(&[version, region]), [same, "r2/z1 version=v1=1", "r1/z1/s1 version=v2=1"]);
    assert_eq!(by(&["version=v2"])[0], "r1/z1/s1 version=v2=1", "a value in place of the gateway's own");
    assert_eq!(by(&["nobody-has-it"]).len(), 1, "what neither has is equal");
    // With regions besides, these decide between equals.
    let both = failover(&[version], &[("r1", "r2")]);
    let expected = ["r1/z1/s1 version=v1=1", "r1/z2 version=v1=1", "r2/z1 version=v1=1", "r1/z1/s1 version=v2=1"];
    assert_eq!(levels(&of, &both), expected);
}

#[test]
fn shares_are_of_areas() {
    let distribute = |to: &[(&str, u32)]| {
        let to = to.iter().map(|(area, weight)| (Locality::parse(area), *weight)).collect();
        let elsewhere = Distribution { from: Locality::parse("r9"), to: vec![(Locality::parse("r2"), 100)] };
        let here = Distribution { from: Locality::parse("r1/z1/*"), to };
        LocalityPolicy::Distribute(vec![elsewhere, here])
    };
    // What is in no area gets nothing.
    assert_eq!(levels(&ALL, &distribute(&[("r1/z1/*", 80), ("r3", 20)])), ["r1/z1/s1=40 r1/z1/s2=40 r3/z1=20"]);
    assert_eq!(levels(&["r1/z1", "r1/z1", "r1/z2"], &distribute(&[("r1/*", 100)])), ["r1/z1,r1/z1=67 r1/z2=34"]);
    let foreign = LocalityPolicy::Distribute(vec![Distribution { from: Locality::parse("r9"), to: Vec::new() }]);
    assert_eq!(levels(&["r1/z1", "r2/z1"], &foreign), ["r1/z1=1 r2/z1=1"], "no entry is for here");
}

#[test]
fn zone_awareness_keeps_to_the_region() {
    let regions = LocalityPolicy::Regions(Failover {
        regions: vec![("r1".into(), "r3".into())],
        is_forced: true,
        ..Failover::default()
    });
    assert_eq!(levels(&ALL, &regions), ["r1/z1/s1 r1/z1/s2 r1/z2", "r3/z1", "r2/z1"]);
}

#[test]
fn traffic_distribution_counts_who_is_not_ready() {
    let zone = TrafficDistribution::SameZone.policy().unwrap();
    assert_eq!(levels(&["r1/z1", "!r1/z1", "r1/z2", "r2/z1"], &zone), ["r1/z1!1=2", "r1/z2=1", "r2/z1=1"]);
    let node = TrafficDistribution::SameNode.policy().unwrap();
    assert_eq!(
        levels(&["r1/z1/s1 kubernetes.io/hostname=n1", "r1/z1/s1 kubernetes.io/hostname=n2", "r1/z2"], &node),
        ["r1/z1/s1 kubernetes.io/hostname=n1=1", "r1/z1/s1 kubernetes.io/hostname=n2=1", "r1/z2=1"]
    );
}
