//! The current objects: which are served, which are not and why. Deltas in, changes for the compiler out; no I/O.

mod delegation;

use super::{
    delta::{Delta, SourceState},
    status::KindStatus,
};
use crate::{
    ingest::{self, IngestContext, manifest::Manifest},
    model::{
        object::{Kind, ObjectId},
        problem::{Problem, ProblemKind, Severity},
    },
    routing::compiler::Change,
};
use delegation::Delegation;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

/// What the sources have said so far.
#[derive(Debug)]
pub struct Inputs {
    context: IngestContext,
    kinds: BTreeMap<Kind, KindInputs>,
    /// By part of the source.
    unreadable: BTreeMap<&'static str, Vec<Problem>>,
    delegation: Delegation,
}

#[derive(Debug, Default)]
struct KindInputs {
    state: SourceState,
    /// There is a complete list: the source's, or the one on disk.
    listed: bool,
    /// It is the one on disk.
    restored: bool,
    /// The kind may not be read, or is not there, and the gateway serves without: with what it had, or with nothing.
    waived: bool,
    objects: HashMap<ObjectId, ObjectState>,
}

#[derive(Debug)]
struct ObjectState {
    served: Served,
    /// `metadata.resourceVersion`: a list after a lost watch repeats what is known already.
    version: Option<Box<str>>,
    problems: Box<[Problem]>,
}

/// Which version of an object the compiler has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Served {
    Current,
    /// The last one that could be read.
    Earlier,
    Nothing,
}

impl Inputs {
    pub fn new(context: IngestContext) -> Self {
        let kinds = Kind::ALL.into_iter().map(|kind| (kind, KindInputs::default())).collect();
        Self { context, kinds, unreadable: BTreeMap::new(), delegation: Delegation::default() }
    }

    /// Whether every kind has been listed at least once, but for those that cannot be and are not needed.
    pub fn complete(&self) -> bool {
        self.kinds.values().all(|kind| kind.listed || kind.waived)
    }

    /// Whether the source fails with some kind that has not been listed.
    pub fn is_stuck(&self) -> bool {
        let fails = |state: &SourceState| matches!(state, SourceState::Failing(_) | SourceState::Forbidden(_));
        self.kinds.values().any(|kind| !kind.listed && !kind.waived && fails(&kind.state))
    }

    /// Whether something is in force that was on disk, and has not been listed by the source yet.
    pub fn is_restored(&self) -> bool {
        self.kinds.values().any(KindInputs::is_restored)
    }

    /// The kinds of which there is no list yet.
    pub fn unlisted(&self) -> Vec<Kind> {
        self.kinds.iter().filter(|(_, inputs)| !inputs.listed).map(|(kind, _)| *kind).collect()
    }

    /// Takes `manifests`, all there were of `kind` when somebody last looked, for its list, until the source has one.
    pub fn restore(&mut self, kind: Kind, manifests: &[Manifest], change: &mut impl FnMut(Change)) {
        for manifest in manifests {
            self.put(manifest, change);
            // The version says nothing about what a source sends later: it may be another cluster by now.
            if let Some(object) = self.kind(kind).objects.get_mut(manifest.id()) {
                object.version = None;
            }
        }
        let inputs = self.kind(kind);
        inputs.listed = true;
        inputs.restored = true;
    }

    /// Takes `delta` in, and hands every resulting change to `change`.
    pub fn apply(&mut self, delta: Delta, change: &mut impl FnMut(Change)) {
        match delta {
            Delta::Apply(manifest) => self.put(&manifest, change),
            Delta::Delete(id) => self.remove(&id, change),
            Delta::Replace { kind, manifests } => self.replace(kind, &manifests, change),
            Delta::Problems { part, problems } => {
                self.unreadable.insert(part, problems);
            }
            Delta::State { kind, state } => {
                let inputs = self.kind(kind);
                let cannot_be = matches!(state, SourceState::Forbidden(_) | SourceState::WaitingForKind(_));
                inputs.waived |= kind.is_dispensable() && cannot_be;
                inputs.state = state;
            }
            Delta::Answer { name, answer } => change(Change::Answer { name, answer }),
        }
    }

    fn kind(&mut self, kind: Kind) -> &mut KindInputs {
        self.kinds.entry(kind).or_default()
    }

    fn replace(&mut self, kind: Kind, manifests: &[Manifest], change: &mut impl FnMut(Change)) {
        let listed: BTreeSet<&ObjectId> = manifests.iter().map(Manifest::id).collect();
        let gone: Vec<ObjectId> = self.kind(kind).objects.keys().filter(|id| !listed.contains(id)).cloned().collect();
        for id in &gone {
            self.remove(id, change);
        }
        for manifest in manifests {
            self.put(manifest, change);
        }
        let inputs = self.kind(kind);
        inputs.listed = true;
        inputs.restored = false;
        inputs.waived = false;
        inputs.state = SourceState::Synced;
    }

    fn remove(&mut self, id: &ObjectId, change: &mut impl FnMut(Change)) {
        if let Some(state) = self.kind(id.kind).objects.remove(id)
            && state.served != Served::Nothing
        {
            change(Change::Remove(id.clone()));
        }
        let roots = self.delegation.remove(id);
        self.read_again(&roots, change);
    }

    /// Reads VirtualServices anew that delegate to one which has changed.
    fn read_again(&mut self, roots: &[Arc<Manifest>], change: &mut impl FnMut(Change)) {
        for root in roots {
            let (resource, problems) = ingest::ingest_delegating(root, &self.context, self.delegation.delegates());
            let (Some(resource), Some(state)) = (resource, self.kind(root.id().kind).objects.get_mut(root.id())) else {
                continue;
            };
            if state.served == Served::Current {
                state.problems = problems.into();
            }
            change(Change::Put(resource));
        }
    }

    fn put(&mut self, manifest: &Manifest, change: &mut impl FnMut(Change)) {
        let id = manifest.id();
        let version = resource_version(manifest);
        let before = self.kinds.get(&id.kind).and_then(|kind| kind.objects.get(id));
        if version.is_some() && before.is_some_and(|before| before.version == version) {
            return;
        }
        let had = before.map_or(Served::Nothing, |before| before.served);
        let roots = self.delegation.put_delegate(manifest, &self.context);
        let (resource, mut problems) = ingest::ingest_delegating(manifest, &self.context, self.delegation.delegates());
        if resource.is_some() {
            self.delegation.put_root(manifest);
        }
        let served = match resource {
            Some(resource) => {
                change(Change::Put(resource));
                Served::Current
            }
            None if had == Served::Nothing => Served::Nothing,
            None => {
                problems.push(still_in_force(manifest));
                Served::Earlier
            }
        };
        let state = ObjectState { served, version, problems: problems.into() };
        self.kind(id.kind).objects.insert(id.clone(), state);
        self.read_again(&roots, change);
    }

    /// What is wrong with the inputs, without what the compilation finds.
    pub fn problems(&self) -> impl Iterator<Item = &Problem> {
        let mut objects: Vec<(&ObjectId, &ObjectState)> = self
            .kinds
            .values()
            .flat_map(|kind| &kind.objects)
            .filter(|(_, state)| !state.problems.is_empty())
            .collect();
        objects.sort_unstable_by_key(|(id, _)| *id);
        self.unreadable.values().flatten().chain(objects.into_iter().flat_map(|(_, state)| &state.problems))
    }

    pub fn kinds(&self) -> impl Iterator<Item = KindStatus> + '_ {
        self.kinds.iter().map(|(kind, inputs)| {
            let count = |served| inputs.objects.values().filter(|state| state.served == served).count();
            KindStatus {
                kind: *kind,
                state: inputs.state.clone(),
                listed: inputs.listed,
                restored: inputs.is_restored(),
                waived: inputs.waived,
                objects: inputs.objects.len(),
                rejected: count(Served::Nothing),
                held_back: count(Served::Earlier),
            }
        })
    }
}

impl KindInputs {
    /// Whether what is in force was on disk, and is to be replaced by what the source lists.
    fn is_restored(&self) -> bool {
        self.restored && !self.waived
    }
}

fn resource_version(manifest: &Manifest) -> Option<Box<str>> {
    let version = manifest.object.get("metadata")?.get("resourceVersion")?.as_str()?;
    (!version.is_empty()).then(|| version.into())
}

fn still_in_force(manifest: &Manifest) -> Problem {
    Problem {
        object: Some(manifest.id().clone()),
        source: manifest.meta.source.clone(),
        path: String::new(),
        severity: Severity::Error,
        kind: ProblemKind::Schema,
        message: "the last version that could be read stays in force until the object is mended or deleted".to_owned(),
    }
}

#[cfg(test)]
mod tests;
