//! The clusters that routes ask for, each in a slot of its own that keeps its number.

use super::{
    cluster::{Cluster, ClusterId, ClusterName, ClusterState, EndpointSpeech, UnknownCluster},
    clusters::{ClusterRequest, Shared, resolve},
    streams::StreamPolicy,
    world::{CompileSettings, HashMap, World},
};
use crate::model::host::HostPattern;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct ClusterTable {
    slots: Vec<Slot>,
    by_request: HashMap<ClusterRequest, ClusterId>,
    /// Slots nobody asks for any more.
    free: Vec<ClusterId>,
    /// Which slots are stale when a host changes.
    dependents: BTreeMap<HostPattern, BTreeSet<ClusterId>>,
    /// Which slots are stale when DNS says something else of a name.
    by_name: BTreeMap<Arc<str>, BTreeSet<ClusterId>>,
    stale: BTreeSet<ClusterId>,
    shared: Shared,
    /// Clusters resolved since the addresses were last tidied.
    resolved: usize,
    clusters: Vec<Arc<Cluster>>,
}

#[derive(Debug)]
struct Slot {
    request: Option<ClusterRequest>,
    /// How many destinations ask for it.
    uses: u32,
    depends_on: BTreeSet<HostPattern>,
    names: BTreeSet<Arc<str>>,
}

impl ClusterTable {
    /// The slot for a request, and one more use of it.
    pub(super) fn acquire(&mut self, request: ClusterRequest) -> ClusterId {
        if let Some(&id) = self.by_request.get(&request) {
            self.slots[id.0 as usize].uses += 1;
            return id;
        }
        let slot =
            Slot { request: Some(request.clone()), uses: 1, depends_on: BTreeSet::new(), names: BTreeSet::new() };
        let id = match self.free.pop() {
            Some(id) => {
                self.slots[id.0 as usize] = slot;
                id
            }
            None => {
                self.slots.push(slot);
                self.clusters.push(Arc::new(nothing()));
                ClusterId(u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX))
            }
        };
        self.by_request.insert(request, id);
        self.stale.insert(id);
        id
    }

    /// Ends one use; a slot without any is free for another request.
    pub(super) fn release(&mut self, id: ClusterId) {
        let slot = &mut self.slots[id.0 as usize];
        debug_assert!(slot.uses > 0, "a cluster is released more often than acquired");
        slot.uses = slot.uses.saturating_sub(1);
        if slot.uses > 0 {
            return;
        }
        for host in std::mem::take(&mut slot.depends_on) {
            self.dependents.entry(host).or_default().remove(&id);
        }
        for name in std::mem::take(&mut slot.names) {
            forget_name(&mut self.by_name, &name, id);
        }
        if let Some(request) = slot.request.take() {
            self.by_request.remove(&request);
        }
        self.stale.remove(&id);
        self.clusters[id.0 as usize] = Arc::new(nothing());
        self.free.push(id);
    }

    /// Marks the clusters of `hosts` stale; a wildcard marks every host under it.
    pub(super) fn touch(&mut self, hosts: &BTreeSet<HostPattern>) {
        for host in hosts {
            if host.is_wildcard() {
                let under = self.dependents.iter().filter(|(name, _)| name.is_subset_of(host));
                self.stale.extend(under.flat_map(|(_, ids)| ids));
            } else if let Some(ids) = self.dependents.get(host) {
                self.stale.extend(ids);
            }
        }
    }

    /// Marks the clusters stale that a name leads to endpoints of.
    pub(super) fn touch_name(&mut self, name: &str) {
        self.stale.extend(self.by_name.get(name).into_iter().flatten());
    }

    /// Every name whose addresses are endpoints of some cluster.
    pub(super) fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.by_name.keys()
    }

    /// Resolves what is stale and returns all clusters, by id.
    pub(super) fn resolve(&mut self, world: &World, settings: &CompileSettings) -> Vec<Arc<Cluster>> {
        for id in std::mem::take(&mut self.stale) {
            let slot = &mut self.slots[id.0 as usize];
            let Some(request) = &slot.request else { continue };
            let resolved = resolve(request, world, settings, &mut self.shared);
            for host in slot.depends_on.difference(&resolved.depends_on) {
                self.dependents.entry(host.clone()).or_default().remove(&id);
            }
            for host in resolved.depends_on.difference(&slot.depends_on) {
                self.dependents.entry(host.clone()).or_default().insert(id);
            }
            slot.depends_on = resolved.depends_on;
            for name in slot.names.difference(&resolved.names) {
                forget_name(&mut self.by_name, name, id);
            }
            for name in resolved.names.difference(&slot.names) {
                self.by_name.entry(Arc::clone(name)).or_default().insert(id);
            }
            slot.names = resolved.names;
            self.clusters[id.0 as usize] = Arc::new(resolved.cluster);
            self.resolved += 1;
        }
        if self.resolved > 4096 {
            self.shared.shed();
            self.dependents.retain(|_, ids| !ids.is_empty());
            self.resolved = 0;
        }
        self.clusters.clone()
    }

    /// The cluster as last resolved.
    pub(super) fn cluster(&self, id: ClusterId) -> &Cluster {
        &self.clusters[id.0 as usize]
    }
}

fn forget_name(by_name: &mut BTreeMap<Arc<str>, BTreeSet<ClusterId>>, name: &Arc<str>, id: ClusterId) {
    if let Some(ids) = by_name.get_mut(name) {
        ids.remove(&id);
        if ids.is_empty() {
            by_name.remove(name);
        }
    }
}

/// What stands in a free slot; no route points at it.
fn nothing() -> Cluster {
    Cluster {
        name: ClusterName { host: "".into(), port: 0, subset: "".into() },
        label: "".into(),
        namespace: "".into(),
        state: ClusterState::Unknown(UnknownCluster::Host),
        traffic: None,
        hash_key: None,
        is_hashed: false,
        stream: StreamPolicy::default(),
        speaks: EndpointSpeech::default(),
        dynamic: None,
    }
}
