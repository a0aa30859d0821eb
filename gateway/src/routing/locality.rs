//! In which order endpoints are used for where they are, seen from the gateway (istio's
//! pilot/pkg/networking/core/loadbalancer/loadbalancer.go).

use super::place::Place;
use crate::{
    balance::levels::{Area, Layout},
    model::{
        locality::Locality,
        locality_policy::{Distribution, Failover, LocalityPolicy},
    },
};
use std::collections::BTreeMap;

/// An endpoint on its way into the layout.
#[derive(Debug)]
pub(super) struct Settler<'w, E> {
    /// `None` for one that is not ready.
    pub(super) endpoint: Option<E>,
    pub(super) place: Place<'w>,
    pub(super) weight: u32,
}

/// Endpoints of one locality and level.
struct Group<'w, E> {
    locality: Locality,
    level: usize,
    members: Vec<Settler<'w, E>>,
    weight: u32,
}

/// The endpoints in the order of the levels they belong to by `policy`, which acts, and those levels.
pub(super) fn settle<'w, E>(
    settlers: Vec<Settler<'w, E>>,
    policy: &LocalityPolicy,
    here: &Place<'_>,
) -> (Vec<(E, u32)>, Layout) {
    let mut by_locality: BTreeMap<Locality, Vec<Settler<'w, E>>> = BTreeMap::new();
    for settler in settlers {
        by_locality.entry((*settler.place.locality).clone()).or_default().push(settler);
    }
    let groups = by_locality.into_iter().map(|(locality, members)| Group::new(locality, 0, members));
    let mut groups: Vec<_> = groups.collect();
    let mut by_area = false;
    match policy {
        LocalityPolicy::Off => {}
        LocalityPolicy::Distribute(distributions) => {
            distribute(&mut groups, distributions, &here.locality);
            by_area = true;
        }
        LocalityPolicy::Failover(failover) => {
            by_area = !failover.labels.is_empty() || !failover.regions.is_empty();
            groups = by_labels(groups, failover, here);
            if failover.labels.is_empty() || !failover.regions.is_empty() {
                by_distance(&mut groups, failover, &here.locality);
            }
        }
        LocalityPolicy::Regions(failover) => {
            groups = by_labels(groups, failover, here);
            by_region(&mut groups, failover, &here.locality.region);
        }
    }
    groups.sort_by_key(|group| group.level);
    let mut layout = Layout { levels: Vec::new(), by_area };
    let mut endpoints = Vec::new();
    let mut level = None;
    for group in groups {
        if level != Some(group.level) {
            level = Some(group.level);
            layout.levels.push(Vec::new());
        }
        let mut area = Area { weight: group.weight, ..Area::default() };
        for settler in group.members {
            match settler.endpoint {
                Some(endpoint) => {
                    area.endpoints += 1;
                    endpoints.push((endpoint, settler.weight));
                }
                None => area.absent += 1,
            }
        }
        if let Some(areas) = layout.levels.last_mut() {
            areas.push(area);
        }
    }
    // Most clusters are in one place: they need no layout.
    if let [only] = &layout.levels[..]
        && (only.len() == 1 || !layout.by_area)
    {
        layout = Layout::default();
    }
    (endpoints, layout)
}

/// `applyLocalityWeights`: what is in no area of the first entry that holds the gateway is left out.
fn distribute<E>(groups: &mut Vec<Group<'_, E>>, distributions: &[Distribution], here: &Locality) {
    let Some(distribution) = distributions.iter().find(|distribution| here.is_in(&distribution.from)) else { return };
    let mut shared: Vec<Option<u32>> = vec![None; groups.len()];
    for (area, weight) in &distribution.to {
        let among: Vec<usize> =
            (0..groups.len()).filter(|index| shared[*index].is_none() && groups[*index].locality.is_in(area)).collect();
        let total: u64 = among.iter().map(|index| u64::from(groups[*index].weight)).sum();
        for index in among {
            let part = u64::from(groups[index].weight) * u64::from(*weight);
            shared[index] = Some(u32::try_from(part.div_ceil(total.max(1))).unwrap_or(u32::MAX));
        }
    }
    for (group, weight) in groups.iter_mut().zip(&shared) {
        group.weight = weight.unwrap_or_default();
    }
    let mut kept = shared.iter();
    groups.retain(|_| kept.next().is_some_and(Option::is_some));
}

/// `applyFailoverPriorities`: the more labels in a row are the gateway's, the earlier.
fn by_labels<'w, E>(groups: Vec<Group<'w, E>>, failover: &Failover, here: &Place<'_>) -> Vec<Group<'w, E>> {
    let labels = &failover.labels;
    if labels.is_empty() {
        return groups;
    }
    let first_is_network = labels.first().is_some_and(|label| &*label.name == "topology.istio.io/network");
    // Of a label that is named twice the later value counts, for both.
    let wanted = |name: &str| {
        let given = labels.iter().rev().filter(|label| &*label.name == name).find_map(|label| label.value.as_deref());
        given.unwrap_or_else(|| here.label(name))
    };
    let level = |place: &Place<'_>| {
        let mut elsewhere = 0;
        for (index, label) in labels.iter().enumerate() {
            if wanted(&label.name) == place.label(&label.name) {
                continue;
            }
            if index == 0 && first_is_network {
                elsewhere = labels.len();
                continue;
            }
            return labels.len() - index + elsewhere;
        }
        elsewhere
    };
    let mut split = Vec::new();
    for group in groups {
        let mut by_level: BTreeMap<usize, Vec<Settler<'w, E>>> = BTreeMap::new();
        for member in group.members {
            by_level.entry(level(&member.place)).or_default().push(member);
        }
        let parts = by_level.into_iter();
        split.extend(parts.map(|(level, members)| Group::new(group.locality.clone(), level, members)));
    }
    close_ranks(&mut split);
    split
}

/// `applyLocalityFailover`: by distance, within the levels there are; elsewhere, the region that the gateway's fails over to
/// comes first.
fn by_distance<E>(groups: &mut [Group<'_, E>], failover: &Failover, here: &Locality) {
    let next = next_region(failover, &here.region);
    for group in &mut *groups {
        let distance = match here.distance(&group.locality) {
            3 if next.is_some_and(|next| *next != *group.locality.region) => 4,
            distance => distance,
        };
        group.level = group.level * 5 + distance as usize;
    }
    close_ranks(groups);
}

/// `applyZoneAwareRegionalFailover`.
fn by_region<E>(groups: &mut [Group<'_, E>], failover: &Failover, here: &str) {
    let next = next_region(failover, here);
    for group in &mut *groups {
        let distance = match &*group.locality.region {
            region if region == here => 0,
            region if next == Some(region) => 1,
            _ => 2,
        };
        group.level = group.level * 3 + distance;
    }
    close_ranks(groups);
}

fn next_region<'f>(failover: &'f Failover, here: &str) -> Option<&'f str> {
    failover.regions.iter().find(|(from, _)| **from == *here).map(|(_, to)| &**to)
}

/// Numbers the levels anew, without gaps.
fn close_ranks<E>(groups: &mut [Group<'_, E>]) {
    let mut levels: Vec<usize> = groups.iter().map(|group| group.level).collect();
    levels.sort_unstable();
    levels.dedup();
    for group in groups {
        group.level = levels.binary_search(&group.level).unwrap_or(0);
    }
}

impl<'w, E> Group<'w, E> {
    fn new(locality: Locality, level: usize, members: Vec<Settler<'w, E>>) -> Self {
        let weight = members.iter().fold(0u32, |sum, member| sum.saturating_add(member.weight));
        Self { locality, level, members, weight }
    }
}

#[cfg(test)]
mod tests;
