//! Bytes that nobody reads: P11.

use super::{Bench, capacity::of_processes, set, with_failed};
use crate::bench::{
    cell::{Better, Cell},
    contender::{DIRECT, ENVOY, Entrance, HAPROXY, NGINX, OURS_S, OURS_U},
    load::Load,
    moved,
    rounds::interleaved,
    stage::{ADMIN_S, Stage},
};

/// P11: answers of 1 MiB through a TCP route, checked by who asks for them. Everybody has the same turns; what is asked of
/// ours differs with the kernel's help and without.
pub(super) fn all(bench: &Bench<'_>, stage: &Stage<'_>, _wanted: &[&str]) -> anyhow::Result<Vec<Cell>> {
    let contenders = stage.choose(&[DIRECT, OURS_U, OURS_S, ENVOY, HAPROXY, NGINX], Entrance::Tcp);
    let load = Load { entrance: Entrance::Tcp, ..Load::plain("/v1/1048576", 8, bench.effort.seconds) };
    let before = moved::bytes(bench.place, ADMIN_S);
    let turns =
        interleaved("P11", &contenders, bench.effort.rounds, bench.interrupt, |contender| load.run(stage, contender))?;
    let moved = moved::said(before, moved::bytes(bench.place, ADMIN_S));
    let cell = |subject, how: &str, floor, goal| {
        let what = format!("1 MiB through a TCP route, {how}, 8 connections{}", set(stage));
        let values = turns.values(|sample| sample.rate);
        let cell = Cell::new("P11", what, "req/s", Better::Higher).of(
            subject,
            values,
            &[(HAPROXY, floor)],
            &[(HAPROXY, goal)],
        );
        with_failed(of_processes(cell, &turns), &turns)
    };
    Ok(vec![cell(OURS_U, "in userspace", 1.0, 1.2), cell(OURS_S, "through the kernel", 1.3, 1.75).note(moved)])
}
