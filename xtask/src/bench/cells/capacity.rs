//! Requests a second in a closed loop, and what they cost the machine: P1, P2, P3, P5, P8.

use super::{Bench, set, with_failed};
use crate::bench::{
    cell::{Better, Cell, Spread},
    contender::{DIRECT, ENVOY, Entrance, HAPROXY, NGINX, OURS_S, OURS_U},
    load::{Connection, Load, Sample},
    rounds::{Turns, interleaved},
    stage::{Setting, Stage},
};

const ALL: [&str; 6] = [DIRECT, OURS_U, OURS_S, ENVOY, HAPROXY, NGINX];

/// A direct connection must be this much faster than what is compared, or the load is what was measured.
const HEADROOM: f64 = 1.3;

type Bounds = &'static [(&'static str, f64)];
const USERSPACE: (Bounds, Bounds) = (&[(ENVOY, 2.5), (HAPROXY, 0.95)], &[(ENVOY, 3.0), (HAPROXY, 1.15)]);
const SHORT: (Bounds, Bounds) =
    (&[(ENVOY, 3.5), (HAPROXY, 1.3), (OURS_U, 1.25)], &[(ENVOY, 5.0), (HAPROXY, 1.8), (OURS_U, 1.5)]);
const COST: (Bounds, Bounds) = (&[(ENVOY, 0.5), (HAPROXY, 1.0)], &[(ENVOY, 0.3), (HAPROXY, 0.75)]);
const NEW: Bounds = &[(ENVOY, 1.2), (HAPROXY, 0.9)];

/// P1, P2 and P5: one measurement.
pub(super) fn small(bench: &Bench<'_>, stage: &Stage<'_>, wanted: &[&str]) -> anyhow::Result<Vec<Cell>> {
    let load = Load::plain("/v2/small", 32, bench.effort.seconds);
    let turns = measure(bench, stage, "P1 P2 P5", &load)?;
    let mut cells = Vec::new();
    for (id, name, subject, bounds) in [("P1", "userspace", OURS_U, USERSPACE), ("P2", "short-circuit", OURS_S, SHORT)]
    {
        if wanted.contains(&id) {
            cells.push(rate(stage, &turns, id, &format!("small body, 32 connections, {name}"), subject, bounds));
        }
    }
    if wanted.contains(&"P5") {
        let (floors, goals) = bounds(stage, COST);
        for (name, subject) in [("userspace", OURS_U), ("short-circuit", OURS_S)] {
            let what = format!("CPU of the whole machine, {name}{}", set(stage));
            let values = turns.values(|sample| sample.machine);
            let cell = Cell::new("P5", what, "ms/1,000 req", Better::Lower).of(subject, values, floors, goals);
            cells.push(with_failed(of_processes(cell, &turns), &turns));
        }
    }
    Ok(cells)
}

/// P3: the same with many connections.
pub(super) fn many(bench: &Bench<'_>, stage: &Stage<'_>, _wanted: &[&str]) -> anyhow::Result<Vec<Cell>> {
    let counts: &[u32] = if bench.effort.quick { &[512] } else { &[512, 2000] };
    let mut cells = Vec::new();
    for &connections in counts {
        let load = Load::plain("/v2/small", connections, bench.effort.seconds);
        let turns = measure(bench, stage, "P3", &load)?;
        for (name, subject, bounds) in [("userspace", OURS_U, USERSPACE), ("short-circuit", OURS_S, SHORT)] {
            let what = format!("small body, {connections} connections, {name}");
            cells.push(rate(stage, &turns, "P3", &what, subject, bounds));
        }
    }
    Ok(cells)
}

/// P8: a new connection for each request.
pub(super) fn new_connections(bench: &Bench<'_>, stage: &Stage<'_>, _wanted: &[&str]) -> anyhow::Result<Vec<Cell>> {
    let load = Load { connection: Connection::New, ..Load::plain("/v2/small", 32, bench.effort.seconds) };
    let turns = measure(bench, stage, "P8", &load)?;
    let mut cells = Vec::new();
    for (name, subject) in [("userspace", OURS_U), ("short-circuit", OURS_S)] {
        let what = format!("a new connection for each request, {name}");
        cells.push(rate(stage, &turns, "P8", &what, subject, (NEW, &[(HAPROXY, 1.0)])));
        // Who opens connections and closes them has more to do than a gateway that accepts them, so that the load is always
        // what is measured above. What a gateway could serve, had its callers more than one CPU, is said by its own.
        let served = turns.values(|sample| 1e6 / sample.device);
        let served = served.into_iter().filter(|(name, _)| *name != DIRECT).collect();
        let what = format!("{what}, for each second of the gateway's CPU");
        let cell = Cell::new("P8", what, "requests", Better::Higher).of(subject, served, NEW, &[(HAPROXY, 1.0)]);
        cells.push(with_failed(cell, &turns));
    }
    Ok(cells)
}

fn measure(bench: &Bench<'_>, stage: &Stage<'_>, title: &str, load: &Load) -> anyhow::Result<Turns<Sample>> {
    let contenders = stage.choose(&ALL, Entrance::Http1);
    interleaved(title, &contenders, bench.effort.rounds, bench.interrupt, |contender| load.run(stage, contender))
}

/// Bounds are for one worker with a CPU of its own; of the unpinned set, figures are shown.
fn bounds(stage: &Stage<'_>, (floors, goals): (Bounds, Bounds)) -> (Bounds, Bounds) {
    if stage.setting == Setting::Pinned { (floors, goals) } else { (&[], &[]) }
}

fn rate(
    stage: &Stage<'_>,
    turns: &Turns<Sample>,
    id: &'static str,
    what: &str,
    subject: &'static str,
    of_one_worker: (Bounds, Bounds),
) -> Cell {
    let (floors, goals) = bounds(stage, of_one_worker);
    let values = turns.values(|sample| sample.rate);
    let mut cell =
        Cell::new(id, format!("{what}{}", set(stage)), "req/s", Better::Higher).of(subject, values, floors, goals);
    cell.refused = too_little_headroom(stage, &cell);
    with_failed(of_processes(cell, turns), turns)
}

/// The CPU time of each process beside what was asked, and what of it is the kernel's: the only thing that tells gateways
/// apart which are all faster than the load, and what a faster program cannot save.
pub(super) fn of_processes(mut cell: Cell, turns: &Turns<Sample>) -> Cell {
    let middles = |of: fn(&Sample) -> f64| {
        let values = turns.values(of).into_iter();
        values.filter_map(|(name, values)| Some((name, Spread::of(values)?.middle)))
    };
    let said: Vec<String> = middles(|sample| sample.process)
        .zip(middles(|sample| sample.kernel))
        .filter(|((_, process), _)| *process > 0.0)
        .map(|((name, process), (_, kernel))| format!("{name} {process:.1} ({kernel:.1})"))
        .collect();
    if !said.is_empty() {
        let said = said.join(", ");
        cell = cell.note(format!("ms/1,000 req of the process itself, and of that in the kernel: {said}"));
    }
    cell
}

/// Why the load, and not the gateways, is what was measured. Only where they have a CPU each: elsewhere a direct
/// connection takes from itself what a gateway would take from it.
fn too_little_headroom(stage: &Stage<'_>, cell: &Cell) -> Option<String> {
    if stage.setting == Setting::Free {
        return None;
    }
    let middle = |name| Spread::of(cell.values_of(name)?.iter().copied()).map(|spread| spread.middle);
    let direct = middle(DIRECT)?;
    let proxied = [OURS_U, ENVOY, HAPROXY, NGINX].into_iter().filter_map(|name| Some((name, middle(name)?)));
    let (name, fastest) = proxied.max_by(|(_, a), (_, b)| a.total_cmp(b))?;
    (direct < fastest * HEADROOM).then(|| {
        format!("direct is {:.2} of {name}, and must be {HEADROOM}: the load is what was measured", direct / fastest)
    })
}
