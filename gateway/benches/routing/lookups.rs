//! Lookups among 10,000 prefixes of one host and 1,000 other hosts.

use crate::{
    allocations,
    timing::median,
    world::{snapshot, targets},
};
use gateway::routing::{
    lookup::{Found, RequestHead},
    snapshot::Snapshot,
};
use http::{HeaderMap, Method};
use std::hint::black_box;

const PREFIXES: usize = 10_000;
const HOSTS: usize = 1_000;

/// Nanoseconds and allocations of one.
#[expect(clippy::cast_precision_loss, reason = "a thousand")]
pub(crate) fn figures(effort: usize) -> Vec<(&'static str, f64)> {
    let (snapshot, targets) = (snapshot(PREFIXES, HOSTS), targets(PREFIXES));
    let headers = HeaderMap::new();
    let all = || targets.iter().for_each(|path| lookup(&snapshot, path, &headers));
    let seconds = median(effort * 5, || (), |()| all());
    let before = allocations::so_far();
    all();
    let allocated = allocations::so_far() - before;
    let count = targets.len() as f64;
    vec![("lookup_ns", seconds * 1e9 / count), ("lookup_allocations", allocated as f64 / count)]
}

/// That many, for somebody who counts instructions: a tenth of the table takes the same and is made ten times sooner.
pub(crate) fn only(number: usize) {
    let (snapshot, targets) = (snapshot(PREFIXES / 10, HOSTS / 10), targets(PREFIXES / 10));
    let headers = HeaderMap::new();
    targets.iter().cycle().take(number).for_each(|path| lookup(&snapshot, path, &headers));
}

fn lookup(snapshot: &Snapshot, path: &str, headers: &HeaderMap) {
    let request = RequestHead {
        method: &Method::GET,
        scheme: "http",
        authority: "big.example.com",
        path: black_box(path),
        query: None,
        headers,
    };
    let found = snapshot.lookup(&snapshot.listeners()[0], &request);
    assert!(matches!(found, Found::Route { .. }), "every path has a route");
    black_box(&found);
}
