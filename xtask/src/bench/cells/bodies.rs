//! Bodies of every size: P6 and P7.

use super::{Bench, set, with_failed};
use crate::bench::{
    cell::{Better, Cell},
    configuration::SIZES,
    contender::{DIRECT, ENVOY, Entrance, HAPROXY, INSIDE, NGINX, OURS_S, OURS_U},
    load::Load,
    moved,
    rounds::interleaved,
    stage::{ADMIN_S, Stage},
};

pub(super) fn all(bench: &Bench<'_>, stage: &Stage<'_>, wanted: &[&str]) -> anyhow::Result<Vec<Cell>> {
    let mut cells = Vec::new();
    if wanted.contains(&"P6") {
        cells.push(large(bench, stage)?);
    }
    if wanted.contains(&"P7") {
        cells.extend(no_harm(bench, stage)?);
        cells.push(others(bench, stage)?);
    }
    Ok(cells)
}

/// P6: 1 MiB.
fn large(bench: &Bench<'_>, stage: &Stage<'_>) -> anyhow::Result<Cell> {
    let contenders = stage.choose(&[DIRECT, OURS_U, OURS_S, ENVOY, HAPROXY, NGINX], Entrance::Http1);
    let load = Load::plain("/v1/1048576", 8, bench.effort.seconds);
    let before = moved::bytes(bench.place, ADMIN_S);
    let turns =
        interleaved("P6", &contenders, bench.effort.rounds, bench.interrupt, |contender| load.run(stage, contender))?;
    let cell = Cell::new("P6", format!("1 MiB bodies, 8 connections{}", set(stage)), "req/s", Better::Higher).of(
        OURS_S,
        turns.values(|sample| sample.rate),
        &[(OURS_U, 1.3), (HAPROXY, 1.3)],
        &[(OURS_U, 1.75), (HAPROXY, 1.75)],
    );
    Ok(with_failed(cell, &turns).note(moved::said(before, moved::bytes(bench.place, ADMIN_S))))
}

/// P7: whatever the body and however many connections, the short-circuit costs nothing.
fn no_harm(bench: &Bench<'_>, stage: &Stage<'_>) -> anyhow::Result<Vec<Cell>> {
    let (sizes, counts): (&[usize], &[u32]) =
        if bench.effort.quick { (&[0, 16 << 10], &[1, 64]) } else { (&SIZES, &[1, 64, 512]) };
    let contenders = stage.choose(&[OURS_U, OURS_S], Entrance::Http1);
    let mut cells = Vec::new();
    for size in sizes {
        for &connections in counts {
            let load = Load::plain(&format!("/v1/{size}"), connections, bench.effort.seconds);
            // Eighteen cells, which are to fit half an hour with all the others, and are far from their floor.
            let rounds = bench.effort.rounds.min(3);
            let turns =
                interleaved("P7", &contenders, rounds, bench.interrupt, |contender| load.run(stage, contender))?;
            let what = format!("{} with {connections} connections{}", bytes(*size), set(stage));
            let values = turns.values(|sample| sample.rate);
            let cell =
                Cell::new("P7", what, "req/s", Better::Higher).of(OURS_S, values, &[(OURS_U, 0.98)], &[(OURS_U, 1.1)]);
            cells.push(with_failed(cell, &turns));
        }
    }
    Ok(cells)
}

/// P7 for those who do not use it: a caller and a pod between which our programs run, and leave alone what they see.
fn others(bench: &Bench<'_>, stage: &Stage<'_>) -> anyhow::Result<Cell> {
    let contenders = stage.choose(&[DIRECT, INSIDE], Entrance::Http1);
    let load = Load::plain("/v2/small", 32, bench.effort.seconds);
    let turns =
        interleaved("P7", &contenders, bench.effort.rounds, bench.interrupt, |contender| load.run(stage, contender))?;
    let what = format!("a connection that is not ours, where our programs run{}", set(stage));
    let values = turns.values(|sample| sample.rate);
    let cell = Cell::new("P7", what, "req/s", Better::Higher).of(INSIDE, values, &[(DIRECT, 0.98)], &[]);
    Ok(with_failed(cell, &turns))
}

fn bytes(size: usize) -> String {
    match size {
        0 => "no body".to_owned(),
        size if size >= 1 << 20 => format!("{} MiB", size >> 20),
        size => format!("{} KiB", size >> 10),
    }
}
