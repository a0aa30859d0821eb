//! A hash table of texts that finds the whole of a text, or all its prefixes.

use super::{Ordinal, hash::PrefixHasher};
use hashbrown::HashTable;
use smallvec::SmallVec;
use std::sync::Arc;

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

#[derive(Clone, Debug)]
struct Entry {
    hash: u64,
    key: Arc<str>,
    group: Group,
}

/// The routes under one key, in matching order.
#[derive(Clone, Debug)]
pub(in crate::routing) struct Group {
    ordinals: SmallVec<[Ordinal; 4]>,
    /// The last route has no condition but its path: nothing after it under this key can ever win, and it need not be
    /// tested.
    closed: bool,
}

impl Group {
    /// Lowers `best` to the first route of the group that `holds`, if it comes before `best`.
    pub(super) fn improve(&self, best: &mut Option<Ordinal>, holds: &mut impl FnMut(Ordinal) -> bool) {
        let last = self.ordinals.len() - 1;
        for (position, &ordinal) in self.ordinals.iter().enumerate() {
            if best.is_some_and(|best| best < ordinal) {
                return;
            }
            if (self.closed && position == last) || holds(ordinal) {
                *best = Some(ordinal);
                return;
            }
        }
    }
}

impl KeyTable {
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Files the route `ordinal` under `key`; `stop` says that it has no condition but its path. Ordinals must come in
    /// ascending order.
    pub(super) fn insert(&mut self, key: &Arc<str>, case: Case, ordinal: Ordinal, stop: bool) {
        let hash = PrefixHasher::new(key.as_bytes(), case == Case::Ignored).at(key.len());
        let entry = self
            .entries
            .entry(hash, |entry| entry.hash == hash && same(&entry.key, key.as_bytes(), case), |entry| entry.hash)
            .or_insert_with(|| Entry {
                hash,
                key: Arc::clone(key),
                group: Group { ordinals: SmallVec::new(), closed: false },
            })
            .into_mut();
        if !entry.group.closed {
            entry.group.ordinals.push(ordinal);
            entry.group.closed = stop;
        }
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
        self.entries.find(hash, |entry| entry.hash == hash && same(&entry.key, text, case))
    }
}

fn same(key: &str, text: &[u8], case: Case) -> bool {
    match case {
        Case::Sensitive => key.as_bytes() == text,
        Case::Ignored => key.as_bytes().eq_ignore_ascii_case(text),
    }
}
