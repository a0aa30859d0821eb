//! Which VirtualServices have to be read again when one that they delegate to changes.

use crate::{
    ingest::{
        IngestContext,
        delegation::{Delegates, named_by},
        manifest::Manifest,
    },
    model::object::ObjectId,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// The delegates, and who names them.
#[derive(Debug, Default)]
pub(super) struct Delegation {
    delegates: Delegates,
    /// Objects that delegate, as they could last be read. Kept, because their rules depend on other objects.
    roots: BTreeMap<ObjectId, Arc<Manifest>>,
    /// By delegate.
    named_by: BTreeMap<ObjectId, BTreeSet<ObjectId>>,
}

impl Delegation {
    pub(super) fn delegates(&self) -> &Delegates {
        &self.delegates
    }

    /// Takes in what the object is to others. Returns those to be read again.
    pub(super) fn put_delegate(&mut self, manifest: &Manifest, context: &IngestContext) -> Vec<Arc<Manifest>> {
        if self.delegates.put(manifest, context) { self.roots_of(manifest.id()) } else { Vec::new() }
    }

    /// Takes in what others are to the object, which could be read.
    pub(super) fn put_root(&mut self, manifest: &Manifest) {
        self.forget_root(manifest.id());
        let named = named_by(manifest);
        if named.is_empty() {
            return;
        }
        for delegate in named {
            self.named_by.entry(delegate).or_default().insert(manifest.id().clone());
        }
        self.roots.insert(manifest.id().clone(), Arc::new(manifest.clone()));
    }

    /// Forgets an object. Returns those to be read again.
    pub(super) fn remove(&mut self, id: &ObjectId) -> Vec<Arc<Manifest>> {
        self.forget_root(id);
        if self.delegates.remove(id) { self.roots_of(id) } else { Vec::new() }
    }

    fn forget_root(&mut self, id: &ObjectId) {
        let Some(root) = self.roots.remove(id) else { return };
        for delegate in named_by(&root) {
            if let Some(roots) = self.named_by.get_mut(&delegate) {
                roots.remove(id);
                if roots.is_empty() {
                    self.named_by.remove(&delegate);
                }
            }
        }
    }

    fn roots_of(&self, delegate: &ObjectId) -> Vec<Arc<Manifest>> {
        let roots = self.named_by.get(delegate).into_iter().flatten();
        roots.filter_map(|root| self.roots.get(root)).cloned().collect()
    }
}
