//! The index of a virtual host: which routes can match a path, without looking at the others.
//!
//! Every route is filed under its path condition: exact paths and prefixes in hash tables, regexes in a list. A lookup
//! hashes the path once, probes the exact table once and the prefix table once per *distinct prefix length*, so its
//! cost does not depend on how many routes there are. Of all routes found that way the one with the lowest ordinal
//! whose other conditions hold too is the answer: Istio's list order, first match wins.

mod hash;
mod table;

use super::route::{Condition, PathCondition, Route};
use std::sync::Arc;
use table::{Case, KeyTable};

/// Position of a route in its virtual host's matching order.
pub(super) type Ordinal = u32;

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct RouteIndex {
    exact: KeyTable,
    exact_any_case: KeyTable,
    prefix: KeyTable,
    prefix_any_case: KeyTable,
    /// In matching order.
    regex: Vec<Ordinal>,
}

impl RouteIndex {
    pub(super) fn build(routes: &[Arc<Route>]) -> Self {
        let mut index = Self::default();
        for (ordinal, route) in (0..).zip(routes) {
            let Condition { path, ignore_case, .. } = &route.condition;
            let stop = route.condition.only_path();
            match (path, ignore_case) {
                (PathCondition::Exact(key), false) => index.exact.insert(key, Case::Sensitive, ordinal, stop),
                (PathCondition::Exact(key), true) => index.exact_any_case.insert(key, Case::Ignored, ordinal, stop),
                (PathCondition::Prefix(key), false) => index.prefix.insert(key, Case::Sensitive, ordinal, stop),
                (PathCondition::Prefix(key), true) => index.prefix_any_case.insert(key, Case::Ignored, ordinal, stop),
                (PathCondition::Regex(_), _) => index.regex.push(ordinal),
            }
        }
        index
    }

    /// The lowest ordinal whose path condition holds for `path` and for which `holds` is true. `holds` is asked for
    /// candidates only, and must test everything but exact and prefix paths (so: regex paths too).
    pub(super) fn first(&self, path: &str, mut holds: impl FnMut(Ordinal) -> bool) -> Option<Ordinal> {
        let mut best = None;
        self.prefix.each_prefix(path.as_bytes(), Case::Sensitive, |group| group.improve(&mut best, &mut holds));
        self.exact.whole(path.as_bytes(), Case::Sensitive, |group| group.improve(&mut best, &mut holds));
        if !self.prefix_any_case.is_empty() {
            self.prefix_any_case
                .each_prefix(path.as_bytes(), Case::Ignored, |group| group.improve(&mut best, &mut holds));
        }
        if !self.exact_any_case.is_empty() {
            self.exact_any_case.whole(path.as_bytes(), Case::Ignored, |group| group.improve(&mut best, &mut holds));
        }
        for &ordinal in &self.regex {
            if best.is_some_and(|best| best < ordinal) {
                break;
            }
            if holds(ordinal) {
                best = Some(ordinal);
                break;
            }
        }
        best
    }
}
