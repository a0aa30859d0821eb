//! Incremental compilation: changes in, snapshots out. [`compile`] is the same code from nothing.
//!
//! The work has two halves that meet only in [`ClusterId`]. The routing half turns Gateways and VirtualServices into
//! listeners and virtual hosts; an edit of a VirtualService rebuilds its virtual hosts. The cluster half turns what
//! routes ask for into endpoints; a change of a Service, EndpointSlice, Pod, Node, DestinationRule or ServiceEntry resolves
//! clusters of its host again, and touches no route.

use super::{
    attachments::Attachments,
    cluster_table::ClusterTable,
    entry_endpoints, listeners,
    names::NameAnswer,
    snapshot::Snapshot,
    stream_table::StreamTable,
    world::{IndexSet, Touched, World},
};
use crate::model::{host::HostPattern, object::ObjectId, problem::Problem, resource::Resource};
use std::{collections::BTreeSet, sync::Arc};

pub use super::world::CompileSettings;

/// One change of the inputs.
#[derive(Clone, Debug)]
pub enum Change {
    /// The object is new, or replaces the one of the same id.
    Put(Resource),
    Remove(ObjectId),
    /// DNS has answered, or failed to, for one of the [`names`](Compiler::names).
    Answer {
        name: Arc<str>,
        answer: NameAnswer,
    },
}

/// Keeps the inputs and the last snapshot; an edit costs what it touches.
#[derive(Debug)]
pub struct Compiler {
    settings: CompileSettings,
    world: World,
    attachments: Attachments,
    streams: StreamTable,
    clusters: ClusterTable,
    due: Due,
    problems: Vec<Problem>,
    node_ports: Arc<BTreeSet<u16>>,
    generation: u64,
}

/// What has changed since the last snapshot.
#[derive(Debug, Default)]
struct Due {
    listeners: bool,
    virtual_services: IndexSet<ObjectId>,
    hosts: BTreeSet<HostPattern>,
    names: BTreeSet<Arc<str>>,
}

impl Compiler {
    pub fn new(settings: CompileSettings) -> Self {
        Self {
            settings,
            world: World::default(),
            attachments: Attachments::default(),
            streams: StreamTable::default(),
            clusters: ClusterTable::default(),
            due: Due::default(),
            problems: Vec::new(),
            node_ports: Arc::default(),
            generation: 0,
        }
    }

    pub fn settings(&self) -> &CompileSettings {
        &self.settings
    }

    /// Takes a change in. Cheap: the work is done by [`snapshot`](Self::snapshot), once for a burst.
    pub fn apply(&mut self, change: Change) {
        let touched = match change {
            Change::Put(resource) => self.world.put(resource, &self.settings),
            Change::Remove(id) => self.world.remove(&id, &self.settings),
            Change::Answer { name, answer } => {
                if self.world.answer(&name, answer) {
                    self.due.names.insert(name);
                }
                return;
            }
        };
        match touched {
            Touched::Nothing => {}
            Touched::Listeners => self.due.listeners = true,
            Touched::VirtualService(id) => _ = self.due.virtual_services.insert(id),
            Touched::Hosts(hosts) => self.due.hosts.extend(hosts),
            Touched::ListenersAndHosts(hosts) => {
                self.due.listeners = true;
                self.due.hosts.extend(hosts);
            }
        }
    }

    /// Whether anything has changed since the last snapshot.
    pub fn is_due(&self) -> bool {
        self.due.listeners
            || !self.due.virtual_services.is_empty()
            || !self.due.hosts.is_empty()
            || !self.due.names.is_empty()
    }

    /// The names whose addresses DNS must tell, as of the last snapshot.
    pub fn names(&self) -> BTreeSet<Arc<str>> {
        self.clusters.names().cloned().collect()
    }

    /// The table for all changes so far, with a generation one higher than the last.
    pub fn snapshot(&mut self) -> Arc<Snapshot> {
        let due = std::mem::take(&mut self.due);
        self.clusters.touch(&due.hosts);
        due.names.iter().for_each(|name| self.clusters.touch_name(name));
        let (mut stream_plans, mut placed) = (None, false);
        if due.listeners {
            let listeners::Plans { http: plans, streams, problems } = listeners::plan(&self.world, &self.settings);
            stream_plans = Some(streams);
            self.problems = problems;
            self.node_ports = Arc::new(listeners::node_ports(&self.world, &self.settings));
            if !self.attachments.is_for(&plans) {
                self.attachments.rebuild(plans, &self.world, &self.settings, &mut self.clusters);
                // All of them have just been placed.
                placed = true;
            }
        }
        let none = IndexSet::default();
        let moved = if placed { &none } else { &due.virtual_services };
        self.attachments.update(moved, &self.world, &self.settings, &mut self.clusters);
        let (world, settings) = (&self.world, &self.settings);
        self.streams.update(stream_plans, &due.virtual_services, world, settings, &mut self.clusters);
        let clusters = self.clusters.resolve(&self.world, &self.settings);
        if !self.world.names.is_empty() {
            // What nobody leads to any more would be stale when somebody does again.
            let wanted: BTreeSet<&Arc<str>> = self.clusters.names().collect();
            self.world.names.retain(|name, _| wanted.contains(name));
        }
        self.generation += 1;
        let node_ports = Arc::clone(&self.node_ports);
        Arc::new(Snapshot {
            generation: self.generation,
            node_ports,
            listeners: self.attachments.listeners(),
            streams: self.streams.streams(),
            clusters,
        })
    }

    /// What the compilation of the last snapshot found: conflicts and references that lead nowhere. What is wrong inside
    /// one object has been said by `ingest`.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = self.problems.clone();
        entry_endpoints::problems(&self.world, &self.settings, &mut problems);
        self.attachments.problems(&self.world, &self.settings, &self.clusters, &mut problems);
        self.streams.problems(&self.world, &self.settings, &self.clusters, &mut problems);
        problems.sort();
        problems
    }
}

/// Compiles a world from nothing.
pub fn compile(
    resources: impl IntoIterator<Item = Resource>,
    settings: CompileSettings,
) -> (Arc<Snapshot>, Vec<Problem>) {
    let mut compiler = Compiler::new(settings);
    for resource in resources {
        compiler.apply(Change::Put(resource));
    }
    let snapshot = compiler.snapshot();
    let problems = compiler.problems();
    (snapshot, problems)
}
