//! The cells of the table, in groups that share their measurements.

mod bodies;
mod canary;
mod capacity;
mod cluster;
mod correct;
mod latency;
mod memory;
mod policies;
mod pure;
mod routes;
mod secure;

use super::{
    cell::Cell,
    effort::Effort,
    place::Place,
    rounds::Turns,
    stage::{Setting, Stage},
    tools::Tools,
};
use crate::{image::Profile, interrupt::Interrupt};

/// What every group gets.
pub(super) struct Bench<'a> {
    pub(super) place: &'a Place,
    pub(super) tools: &'a Tools,
    pub(super) effort: Effort,
    pub(super) interrupt: &'a Interrupt,
}

/// A group of cells that one measurement, or one set-up, yields.
pub(super) struct Group {
    /// The cells' names, as `--only` takes them.
    pub(super) cells: &'static [&'static str],
    /// In words, for those who cannot have it.
    pub(super) what: &'static str,
    pub(super) needs: Needs,
}

/// What a group yields.
type Cells = anyhow::Result<Vec<Cell>>;

/// What a group is measured on.
#[derive(Clone, Copy)]
pub(super) enum Needs {
    /// Everybody side by side.
    Stage(fn(&Bench<'_>, &Stage<'_>, &[&str]) -> Cells),
    /// The namespaces; the group starts what it compares.
    Place(fn(&Bench<'_>, &[&str]) -> Cells),
    /// A cluster, which the group brings up.
    Cluster(fn(Profile, Effort, &Interrupt, &[&str]) -> Cells),
    /// A cluster, for longer than there is in a run of everything: only where the group is named.
    LongCluster(fn(Profile, Effort, &Interrupt, &[&str]) -> Cells),
    /// A processor.
    Nothing(fn(Profile, Effort, &Interrupt, &[&str]) -> Cells),
}

/// Every group, in the order of the table.
pub(super) static GROUPS: [Group; 13] = [
    Group {
        cells: &["P1", "P2", "P5"],
        what: "small bodies, kept connections: capacity and CPU",
        needs: Needs::Stage(capacity::small),
    },
    Group { cells: &["P3"], what: "512 and 2,000 connections", needs: Needs::Stage(capacity::many) },
    Group { cells: &["P4"], what: "latency added to a direct connection", needs: Needs::Stage(latency::added) },
    Group { cells: &["P6", "P7"], what: "bodies of every size", needs: Needs::Stage(bodies::all) },
    Group { cells: &["P8"], what: "a new connection for each request", needs: Needs::Stage(capacity::new_connections) },
    Group { cells: &["P9", "P10"], what: "HTTP/2 and TLS", needs: Needs::Stage(secure::all) },
    Group { cells: &["R1"], what: "one host with 10,000 prefixes", needs: Needs::Place(routes::all) },
    Group { cells: &["R2", "R3", "C2"], what: "lookup, draw and compilation alone", needs: Needs::Nothing(pure::all) },
    Group { cells: &["C3"], what: "wrong answers while objects change", needs: Needs::Place(correct::all) },
    Group { cells: &["M1", "M2", "M3"], what: "memory and metric series", needs: Needs::Place(memory::all) },
    Group { cells: &["T1", "T2"], what: "outlier detection at rest, copies", needs: Needs::Place(policies::all) },
    Group {
        cells: &["C1"],
        what: "from apply to the first answer in a real cluster, Istio's gateway beside ours",
        needs: Needs::Cluster(cluster::all),
    },
    Group {
        cells: &["K1"],
        what: "C1, C3 and M1 among 5,000 Services with pods and nodes of kwok; only with --only K1",
        needs: Needs::LongCluster(cluster::services),
    },
];

pub(super) use canary::{canary, canary_of};

/// Adds what took contenders out in the middle to a cell's notes.
fn with_failed<T>(cell: Cell, turns: &Turns<T>) -> Cell {
    turns.failed.iter().fold(cell, |cell, (name, why)| cell.note(format!("{name} is not measured: {why}")))
}

/// As a heading says which set a cell is from.
fn set(stage: &Stage<'_>) -> &'static str {
    match stage.setting {
        Setting::Pinned => "",
        Setting::Free => ", unpinned, two workers",
    }
}
