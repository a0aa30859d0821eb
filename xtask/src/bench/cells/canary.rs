//! The canary: a direct connection against itself. What differs is noise.

use super::Bench;
use crate::bench::{
    cell::{Better, Cell, Spread},
    contender::{AGAIN, Contender, DIRECT, Entrance},
    load::{Load, Sample},
    rounds::interleaved,
    stage::Stage,
};

/// How far the median may be from 1.
const TOLERANCE: f64 = 0.03;

/// The ratio, and why the run is refused, if it is.
pub(in crate::bench) fn canary(bench: &Bench<'_>, stage: &Stage<'_>) -> anyhow::Result<(f64, Option<String>)> {
    let contenders = stage.choose(&[DIRECT, AGAIN], Entrance::Http1);
    canary_of(bench, &contenders, |load, contender| load.run(stage, contender))
}

/// The same of two contenders that are one.
pub(in crate::bench) fn canary_of(
    bench: &Bench<'_>,
    contenders: &[Contender],
    mut run: impl FnMut(&Load, &Contender) -> anyhow::Result<Sample>,
) -> anyhow::Result<(f64, Option<String>)> {
    let load = Load::plain("/v2/small", 32, bench.effort.seconds);
    let turns =
        interleaved("canary", contenders, bench.effort.rounds, bench.interrupt, |contender| run(&load, contender))?;
    let cell =
        Cell::new("canary", "", "req/s", Better::Higher).of(DIRECT, turns.values(|sample| sample.rate), &[], &[]);
    let Some(Spread { low, middle, high }) = cell.ratio(AGAIN) else {
        let why = turns.failed.first().map_or_else(|| "no rounds".to_owned(), |(_, why)| why.clone());
        return Ok((f64::NAN, Some(format!("the direct connection cannot be measured: {why}"))));
    };
    let refused = ((middle - 1.0).abs() > TOLERANCE).then(|| {
        format!(
            "a direct connection is {middle:.3} of itself ({low:.3} to {high:.3}), and must be 1.00 ± {TOLERANCE:.2}: \
             something else uses the machine"
        )
    });
    Ok((middle, refused))
}
