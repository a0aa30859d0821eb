//! Are two gateways drawing from the same distribution? χ² tests.

use super::{
    exchange::Gateway,
    lab::{Lab, pause},
    request::{Request, Shares},
};
use std::collections::{BTreeMap, BTreeSet};

/// Values that χ² exceeds by chance once in 10⁷ tests, for 1, 2, … degrees of freedom: a run makes a few dozen tests, and a
/// false alarm costs somebody an hour. 200 draws still tell 50:50 from 77:23, and the tables tell the rest.
const LIMITS: [f64; 8] = [28.37, 32.24, 35.40, 38.24, 40.86, 43.34, 45.70, 47.97];

type Counts = BTreeMap<String, u32>;

/// Draws from both gateways; returns what speaks against one distribution, and against the expected shares.
pub(crate) fn differences(lab: &Lab, request: &Request, shares: &Shares) -> Vec<String> {
    if !shares.settles.is_zero() {
        for (_, gateway) in lab.gateways() {
            draw(gateway, request, shares.draws);
        }
        pause(shares.settles);
    }
    let counts = lab.gateways().map(|(name, gateway)| (name, draw(gateway, request, shares.draws)));
    let mut found = Vec::new();
    for (name, counts) in &counts {
        if let Some(reason) = against_shares(counts, &shares.weights) {
            found.push(format!("{name} draws {counts:?}: {reason}"));
        }
    }
    let [(_, istio), (_, ours)] = &counts;
    if let Some(reason) = against_each_other(istio, ours) {
        found.push(format!("Istio draws {istio:?}, here {ours:?}: {reason}"));
    }
    found
}

fn draw(gateway: Gateway, request: &Request, draws: u32) -> Counts {
    let mut counts = Counts::new();
    for _ in 0..draws {
        *counts.entry(gateway.ask(request).who()).or_default() += 1;
    }
    counts
}

/// Goodness of fit. `None` when the counts are what the weights make.
fn against_shares(counts: &Counts, weights: &BTreeMap<String, u32>) -> Option<String> {
    if let Some(stranger) = counts.keys().find(|name| weights.get(*name).is_none_or(|weight| *weight == 0)) {
        return Some(format!("{stranger} has no share"));
    }
    let (draws, total) = (f64::from(counts.values().sum::<u32>()), f64::from(weights.values().sum::<u32>()));
    let drawn: Vec<_> = weights.iter().filter(|(_, weight)| **weight > 0).collect();
    let chi_square = drawn.iter().map(|(name, weight)| {
        let expected = draws * f64::from(**weight) / total;
        let count = f64::from(counts.get(*name).copied().unwrap_or_default());
        (count - expected).powi(2) / expected
    });
    verdict(chi_square.sum(), drawn.len())
}

/// Homogeneity of two samples.
fn against_each_other(left: &Counts, right: &Counts) -> Option<String> {
    let total = |counts: &Counts| f64::from(counts.values().sum::<u32>());
    let scale = (total(right) / total(left)).sqrt();
    let names: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
    let chi_square = names.iter().map(|name| {
        let count = |counts: &Counts| f64::from(counts.get(*name).copied().unwrap_or_default());
        (scale * count(left) - count(right) / scale).powi(2) / (count(left) + count(right))
    });
    verdict(chi_square.sum(), names.len())
}

fn verdict(chi_square: f64, categories: usize) -> Option<String> {
    let freedom = categories.checked_sub(2)?;
    let limit = LIMITS.get(freedom).or(LIMITS.last())?;
    (chi_square > *limit).then(|| format!("χ² is {chi_square:.1}, over {limit}"))
}
