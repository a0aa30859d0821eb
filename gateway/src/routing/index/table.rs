//! A hash table of texts that finds the whole of a text, or all its prefixes.

use super::{Ordinal, hash::PrefixHasher};
use hashbrown::HashTable;
use smallvec::SmallVec;

/// Whether `A` and `a` are the same letter (ASCII only, as Envoy compares).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::routing) enum Case {
    Sensitive,
    Ignored,
}

/// Keys and, for each, the routes filed under it.
#[derive(Clone, Debug, Default)]
pub(in crate::routing) struct KeyTable {
    entries: HashTable<Entry>,
    /// The lengths that occur among the keys, ascending.
    lengths: Vec<usize>,
}

/// One key and its routes, on one cache line: a lookup in a large table pays for its misses, not for its instructions.
#[derive(Clone, Debug)]
#[repr(align(64))]
struct Entry {
    key: SmallVec<[u8; 32]>,
    group: Group,
}

/// The routes under one key, in matching order, up to the first that has no condition but its path: nothing after that
/// one can ever win.
#[derive(Clone, Debug, Default)]
pub(in crate::routing) struct Group(SmallVec<[Filed; 4]>);

/// An ordinal, and whether the route has no condition but its path and need not be tested. One word, for [`Entry`].
#[derive(Clone, Copy, Debug)]
struct Filed(u32);

impl Filed {
    const CERTAIN: u32 = 1 << 31;

    fn new(ordinal: Ordinal, certain: bool) -> Self {
        debug_assert!(ordinal < Self::CERTAIN, "more routes on a host than memory could hold");
        Self(ordinal | if certain { Self::CERTAIN } else { 0 })
    }

    fn ordinal(self) -> Ordinal {
        self.0 & !Self::CERTAIN
    }

    fn is_certain(self) -> bool {
        self.0 & Self::CERTAIN != 0
    }
}

impl Group {
    /// Lowers `best` to the first route of the group that `holds`, if it comes before `best`.
    pub(super) fn improve(&self, best: &mut Option<Ordinal>, holds: &mut impl FnMut(Ordinal) -> bool) {
        for filed in &self.0 {
            let ordinal = filed.ordinal();
            if best.is_some_and(|best| best < ordinal) {
                return;
            }
            if filed.is_certain() || holds(ordinal) {
                *best = Some(ordinal);
                return;
            }
        }
    }

    fn push(&mut self, ordinal: Ordinal, certain: bool) {
        if !self.0.last().is_some_and(|last| last.is_certain()) {
            self.0.push(Filed::new(ordinal, certain));
        }
    }
}

impl KeyTable {
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Files the route `ordinal` under `key`; `certain` says that it has no condition but its path. Ordinals must come in
    /// ascending order.
    pub(super) fn insert(&mut self, key: &str, case: Case, ordinal: Ordinal, certain: bool) {
        let key = key.as_bytes();
        let hash = |key: &[u8]| PrefixHasher::new(key, case == Case::Ignored).at(key.len());
        let entry = self
            .entries
            .entry(hash(key), |entry| same(&entry.key, key, case), |entry| hash(&entry.key))
            .or_insert_with(|| Entry { key: key.into(), group: Group::default() })
            .into_mut();
        entry.group.push(ordinal, certain);
        if let Err(place) = self.lengths.binary_search(&key.len()) {
            self.lengths.insert(place, key.len());
        }
    }

    /// Shows `visit` the group of `text` itself, if there is one.
    pub(super) fn whole(&self, text: &[u8], case: Case, visit: impl FnOnce(&Group)) {
        if self.lengths.last().is_some_and(|&longest| text.len() <= longest)
            && self.lengths.binary_search(&text.len()).is_ok()
        {
            let hash = PrefixHasher::new(text, case == Case::Ignored).at(text.len());
            if let Some(entry) = self.find(hash, text, case) {
                visit(&entry.group);
            }
        }
    }

    /// Shows `visit` the group of every key that `text` begins with, the shortest first.
    pub(super) fn each_prefix(&self, text: &[u8], case: Case, mut visit: impl FnMut(&Group)) {
        let mut hasher = PrefixHasher::new(text, case == Case::Ignored);
        for &length in &self.lengths {
            if length > text.len() {
                return;
            }
            let hash = hasher.at(length);
            if let Some(entry) = self.find(hash, &text[..length], case) {
                visit(&entry.group);
            }
        }
    }

    fn find(&self, hash: u64, text: &[u8], case: Case) -> Option<&Entry> {
        self.entries.find(hash, |entry| same(&entry.key, text, case))
    }
}

fn same(key: &[u8], text: &[u8], case: Case) -> bool {
    match case {
        Case::Sensitive => key == text,
        Case::Ignored => key.eq_ignore_ascii_case(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_one_cache_line() {
        assert_eq!(size_of::<Entry>(), 64);
    }
}
