//! What each contender adds to the latency of a direct connection, at half of what Envoy can serve: P4.

use super::{Bench, set, with_failed};
use crate::bench::{
    cell::{Better, Cell, Spread},
    client::{Run, SMALL},
    contender::{AGAIN, Contender, DIRECT, ENVOY, Entrance, HAPROXY, NGINX, OURS_S, OURS_U},
    load::Load,
    rounds::interleaved,
    stage::Stage,
};
use anyhow::Context;

const CONNECTIONS: u32 = 32;

/// Microseconds from the moment in which a request was due.
struct Taken {
    p50: f64,
    p99: f64,
}

pub(super) fn added(bench: &Bench<'_>, stage: &Stage<'_>, _wanted: &[&str]) -> anyhow::Result<Vec<Cell>> {
    let Some(rate) = half_of_envoys_knee(bench, stage)? else {
        return Ok(vec![Cell::unmeasured("P4", "added latency", "Envoy does not run, whose knee sets the rate")]);
    };
    let contenders = stage.choose(&[DIRECT, OURS_U, OURS_S, ENVOY, HAPROXY, NGINX, AGAIN], Entrance::Http1);
    let turns = interleaved("P4", &contenders, bench.effort.rounds, bench.interrupt, |contender| {
        one(bench, stage, contender, rate)
    })?;
    let mut cells = Vec::new();
    for (quantile, figure) in [("p50", (|taken| taken.p50) as fn(&Taken) -> f64), ("p99", |taken| taken.p99)] {
        let taken = turns.values(figure);
        let Some((_, direct)) = taken.iter().find(|(name, _)| *name == DIRECT).cloned() else {
            let why = "the direct connection cannot be measured, to which the others add";
            cells.push(with_failed(Cell::unmeasured("P4", format!("added {quantile}"), why), &turns));
            continue;
        };
        // Less than nothing is noise; as 0 it is either a ratio of 0 or, of a peer, none.
        let over_direct =
            |values: Vec<f64>| values.iter().zip(&direct).map(|(own, direct)| (own - direct).max(0.0)).collect();
        let added: Vec<(&'static str, Vec<f64>)> = taken
            .into_iter()
            .filter(|(name, _)| *name != DIRECT)
            .map(|(name, values)| (name, over_direct(values)))
            .collect();
        let middle = Spread::of(direct.iter().copied()).map_or(f64::NAN, |spread| spread.middle);
        for (name, subject) in [("userspace", OURS_U), ("short-circuit", OURS_S)] {
            let what = format!("{quantile} added at {rate} req/s, {name}{}", set(stage));
            let goals: &[(&str, f64)] = if subject == OURS_S { &[(ENVOY, 0.3)] } else { &[] };
            let cell = Cell::new("P4", what, "µs", Better::Lower).of(subject, added.clone(), &[(ENVOY, 0.5)], goals);
            cells.push(unless_noise(with_failed(cell, &turns).note(format!("direct itself: {middle:.0} µs"))));
        }
    }
    Ok(cells)
}

/// Refused when a direct connection adds to itself a quarter of what Envoy adds.
fn unless_noise(mut cell: Cell) -> Cell {
    let middle = |name| Spread::of(cell.values_of(name)?.iter().copied()).map(|spread| spread.middle);
    if let Some((noise, envoy)) = middle(AGAIN).zip(middle(ENVOY)).filter(|(noise, envoy)| noise * 4.0 > *envoy) {
        cell.refused =
            Some(format!("a direct connection adds {noise:.0} µs to itself, and Envoy only {envoy:.0}: this is noise"));
    }
    cell
}

/// Half of what Envoy serves in a closed loop, in requests a second.
fn half_of_envoys_knee(bench: &Bench<'_>, stage: &Stage<'_>) -> anyhow::Result<Option<u32>> {
    let load = Load::plain("/v2/small", CONNECTIONS, bench.effort.seconds);
    let envoy = stage.choose(&[ENVOY], Entrance::Http1);
    let turns = interleaved("P4, the knee", &envoy, 3, bench.interrupt, |contender| load.run(stage, contender))?;
    let knee = Spread::of(turns.of.iter().flat_map(|(_, samples)| samples.iter().map(|sample| sample.rate)));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate")]
    Ok(knee.map(|knee| (knee.middle / 2.0).max(1.0) as u32))
}

fn one(bench: &Bench<'_>, stage: &Stage<'_>, contender: &Contender, rate: u32) -> anyhow::Result<Taken> {
    let address = contender.address_for(Entrance::Http1, "/v2/small").context("everybody speaks HTTP/1")?;
    let run = Run {
        mode: "open",
        address: &address,
        // Direct, one address is one subset.
        expected: vec![SMALL[1].to_owned()],
        connections: CONNECTIONS,
        seconds: bench.effort.open_seconds.into(),
        rate: Some(rate),
        side: contender.side,
        cpu: stage.setting.load(),
    };
    let report = run.report(bench)?;
    let of = |name: &str| report[name].as_f64().with_context(|| format!("the client does not say {name}"));
    Ok(Taken { p50: of("p50_us")?, p99: of("p99_us")? })
}
